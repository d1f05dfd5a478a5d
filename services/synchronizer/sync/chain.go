package sync

import (
	"strings"

	"github.com/slipway-cd/slipway/events"
)

// trailer is the key of the lines by which a commit names its chains.
const trailer = "Slipway-Chain:"

// chain is one change that ends in an application: of an image, where the
// commit says which, or of anything.
type chain struct {
	id    string
	image string // repository; empty for a person's commit
}

// trailers reads the chains of one application from a commit's message.
func trailers(message, application string, aliases events.Aliases) []chain {
	var found []chain
	for line := range strings.Lines(message) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), trailer)
		if !ok {
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) != 3 || fields[1] != application {
			continue
		}
		image, err := events.ParseImage(fields[2], aliases)
		if err != nil {
			continue
		}
		found = append(found, chain{id: fields[0], image: image.Repository.String()})
	}
	return found
}

// chainsOf collects the chains of an application from commits, oldest first.
func chainsOf(commits []Commit, application string, aliases events.Aliases) []chain {
	var all []chain
	seen := map[chain]bool{}
	for _, c := range commits {
		for _, found := range trailers(c.Message(), application, aliases) {
			if !seen[found] {
				seen[found] = true
				all = append(all, found)
			}
		}
	}
	return all
}

func chainIDs(chains []chain) []string {
	var ids []string
	seen := map[string]bool{}
	for _, c := range chains {
		if !seen[c.id] {
			seen[c.id] = true
			ids = append(ids, c.id)
		}
	}
	return ids
}
