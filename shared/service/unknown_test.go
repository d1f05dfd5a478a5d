package service_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/service"
)

func TestAFieldThatIsNotKnownIsHelpedWith(t *testing.T) {
	for text, want := range map[string]string{
		"people: []":                "line 1: field people is not known (it belongs to automator.people)",
		"busses: {}":                "line 1: field busses is not known (did you mean bus?)",
		"bus: {embed: {}}":          "field embed is not known (did you mean embedded?)",
		"tls: {cert: x}":            "field tls is not known (it belongs to bus.tls or listen.tls)",
		"listen: {hook: x}":         "field hook is not known (did you mean hooks?)",
		"automator: {interval: 5m}": "field interval is not known (it belongs to sweep.interval)",
		"sources: []":               "field sources is not known (it belongs to receivers.sources)",
		"repositories: [{url: x, knownHosts: x}]": "field knownHosts is not known\n",
		"dashboard: {}": "field dashboard is not known\n",
		"file: x":       "field file is not known\n",
		"synchronizer: {trusted: [], debounce: {}}": "field debounce is not known (it belongs to automator.debounce)",
	} {
		_, err := service.Load(write(t, text+"\n"))
		if err == nil || !strings.Contains(err.Error()+"\n", want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
