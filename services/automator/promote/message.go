package promote

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/slipway-cd/slipway/events"
)

// Change is one application's move, as a commit tells it.
type Change struct {
	Chain       string
	Application events.Application
	Image       events.ImageRepository
	From, To    string // references: tag[@digest]
	// Approvers have approved it, Overrider in spite of a freeze.
	Approvers []string
	Overrider string
	// Pusher pushed the image and Rule wants it, where that is known. Commits
	// tell of them only as their template does.
	Pusher, Rule string
}

const (
	chainTrailer    = "Slipway-Chain"
	approvedTrailer = "Slipway-Approved-By"
	overrideTrailer = "Slipway-Freeze-Overridden-By"
	askedTrailer    = "Slipway-Requested-By"
)

// Message writes the commit message of a batch. The body has a line for each
// change, and so have the trailers, so that [ParseMessage] can read the
// changes back after a crash.
func Message(changes []Change) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", subject(changes))
	for _, c := range changes {
		from := c.From
		if from == "" {
			from = nothing
		}
		fmt.Fprintf(&b, "%s: %s %s -> %s\n", c.Application, c.Image, from, c.To)
	}
	b.WriteString("\n")
	for _, c := range changes {
		fmt.Fprintf(&b, "%s: %s %s %s@%s\n", chainTrailer, c.Chain, c.Application, c.Image, digestOf(c.To))
	}
	for _, c := range changes {
		for _, person := range c.Approvers {
			fmt.Fprintf(&b, "%s: %s (%s)\n", approvedTrailer, person, c.Application)
		}
		if c.Overrider != "" {
			fmt.Fprintf(&b, "%s: %s (%s)\n", overrideTrailer, c.Overrider, c.Application)
		}
	}
	return b.String()
}

// askedMessage writes the commit message of what people asked for: what is done,
// the changes as [Message] has them, who wanted it, and why.
func askedMessage(said []string, changes []Change, requests []Request) string {
	var b strings.Builder
	switch len(said) {
	case 1:
		fmt.Fprintf(&b, "slipway: %s\n\n", said[0])
	default:
		fmt.Fprintf(&b, "slipway: %d requests\n\n%s\n\n", len(said), strings.Join(said, "\n"))
	}
	for _, q := range requests {
		if q.Reason != "" {
			fmt.Fprintf(&b, "%s\n\n", q.Reason)
		}
	}
	if len(changes) > 0 {
		_, body, _ := strings.Cut(Message(changes), "\n\n")
		b.WriteString(body)
	}
	for _, q := range requests {
		fmt.Fprintf(&b, "%s: %s (%s of %s, %s)\n", askedTrailer, q.By, q.Kind, q.Application, q.ID)
	}
	return b.String()
}

// nothing stands for a reference that had neither tag nor digest.
const nothing = "(none)"

func subject(changes []Change) string {
	if len(changes) == 1 {
		tag, _, _ := strings.Cut(changes[0].To, "@")
		return fmt.Sprintf("slipway: move %s to %s", changes[0].Application, tag)
	}
	return fmt.Sprintf("slipway: move %d images", len(changes))
}

// digestOf is the digest of a reference, or its tag where it isn't pinned.
func digestOf(reference string) string {
	if _, digest, pinned := strings.Cut(reference, "@"); pinned {
		return digest
	}
	return reference
}

var (
	changeLine  = regexp.MustCompile(`^(\S+/\S+/\S+): (\S+) (\S+) -> (\S+)$`)
	trailerLine = regexp.MustCompile(`^` + chainTrailer + `: (\S+) (\S+) ([^\s@]+)@(\S+)$`)
)

// ParseMessage reads the changes of a commit that [Message] described, none
// from any other commit.
func ParseMessage(message string) []Change {
	lines := map[[2]string][]string{}
	var changes []Change
	for line := range strings.Lines(message) {
		line = strings.TrimRight(line, "\r\n ")
		if m := changeLine.FindStringSubmatch(line); m != nil {
			lines[[2]string{m[1], m[2]}] = m
		}
		m := trailerLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		app, appErr := events.ParseApplication(m[2])
		image, imageErr := events.ParseImageRepository(m[3], nil)
		if appErr != nil || imageErr != nil {
			continue
		}
		c := Change{Chain: m[1], Application: app, Image: image, To: m[4]}
		if l := lines[[2]string{m[2], m[3]}]; l != nil {
			c.From, c.To = strings.TrimPrefix(l[3], nothing), l[4]
		}
		changes = append(changes, c)
	}
	return changes
}
