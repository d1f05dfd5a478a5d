package deploy

import (
	"fmt"
	"strings"
)

// Rule is the object of the Prometheus operator that has the alerts of a rule
// file as they are.
func Rule(alerts string) string {
	var b strings.Builder
	fmt.Fprint(&b, `# Written by `+"`make golden`"+` from alerts.yaml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: slipway, namespace: slipway-system}
spec:
`)
	for line := range strings.Lines(alerts) {
		if strings.HasPrefix(line, "#") {
			continue // of the file
		}
		if strings.TrimSpace(line) != "" {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	return b.String()
}
