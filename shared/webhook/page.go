package webhook

import (
	"fmt"
	"strings"
)

// Page is the Markdown page of a receiver's providers: what to set at each
// sender, and how we tried it.
func Page(service string, table []Provider) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Providers of the %s\n\nMade from the table in `provider/provider.go` by `make generate`: edit there.\n\n", service)
	b.WriteString("A source in the config has a `name`, a `provider` of this page, and `secrets`; it is called at `/hooks/{name}`, or at\n" +
		"`/hooks/{name}/{secret}` by senders that prove nothing else. *Tried*: `live` against the real, unchanged sender; `captured`\n" +
		"with deliveries that a real sender made; `documents` with what the vendor's documents show.\n\n")
	b.WriteString("| provider | tried | largest body |\n|---|---|---|\n")
	for _, p := range table {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %d MiB |\n", p.Name, p.Name, p.Setup.Tried, p.MaxBody/MiB)
	}
	for _, p := range table {
		fmt.Fprintf(&b, "\n## %s\n\n- **Where**: %s\n- **Events**: %s\n- **Secret**: %s\n", p.Name, p.Setup.Where, p.Setup.Events, p.Setup.Secret)
		if p.Blocks {
			b.WriteString("- A verified body that can't be read is answered 2xx and put aside: a 4xx would make this sender stop.\n")
		}
	}
	return b.String()
}
