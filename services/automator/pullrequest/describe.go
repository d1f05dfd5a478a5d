package pullrequest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/slipway-cd/slipway/events"
)

// Change is one application's move, as people who review it want to see it.
type Change struct {
	Application events.Application
	Image       events.ImageRepository
	From, To    string // references: tag[@digest]; From may be empty
	Rule        string // which rule of which policy decided
	Pusher      string // who pushed the image, as its registry tells; may be empty
	Chain       string // the chain's id
}

// ErrTooLong says that no body of the allowed length tells all changes: make
// several pull requests.
var ErrTooLong = errors.New("too many changes for the description of one pull request")

// Describe gives title and body of a pull request whose branch holds one
// commit with that message. The title is the message's subject. The body ends
// like the message, with the same lines for changes and the same trailers, so
// that hosts that make the message of a squash from title and body keep what
// the commit says. Where maxBody bytes are too few for all, lines of the table
// go, then the lines for changes; errs with [ErrTooLong] where the trailers
// alone are too many.
func Describe(message string, changes []Change, maxBody int) (title, body string, err error) {
	title, middle, trailers := split(message)
	title = cut(title, maxTitle)
	fixed := fenced(middle) + trailers
	const intro = "Slipway proposes what the deployment policies decided. Merging deploys it.\n\n"
	if len(fixed) > maxBody {
		fixed = trailers
	}
	if len(fixed) > maxBody {
		return "", "", fmt.Errorf("%w: the trailers of %d changes have %d bytes, and %d are allowed", ErrTooLong, len(changes), len(trailers), maxBody)
	}
	if room := maxBody - len(fixed) - len(intro); room > 0 {
		body = intro + table(changes, room)
	}
	return title, body + fixed, nil
}

var trailer = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*: \S`)

// split gives a message's subject, its trailers, which are its last
// paragraph, and what is between.
func split(message string) (subject, middle, trailers string) {
	message = strings.TrimSpace(strings.ReplaceAll(message, "\r\n", "\n"))
	subject, rest, _ := strings.Cut(message, "\n")
	rest = strings.TrimSpace(rest)
	before, last := "", rest
	if i := strings.LastIndex(rest, "\n\n"); i >= 0 {
		before, last = rest[:i], rest[i+2:]
	}
	for line := range strings.SplitSeq(last, "\n") {
		if !trailer.MatchString(line) {
			return subject, rest, ""
		}
	}
	return subject, strings.TrimSpace(before), last + "\n"
}

// fenced shows text as it is, behind a fence that is longer than any in it.
func fenced(text string) string {
	if text == "" {
		return ""
	}
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "text\n" + text + "\n" + fence + "\n\n"
}

// table has a line for each change, as many as there is room for.
func table(changes []Change, room int) string {
	const more = "\nand %d more\n"
	room -= len(more) + len("1000000")
	var b strings.Builder
	b.WriteString("| application | image | from | to | rule | pushed by | chain |\n|---|---|---|---|---|---|---|\n")
	if len(changes) == 0 || b.Len() > room {
		return ""
	}
	told := 0
	for _, c := range changes {
		line := "| " + strings.Join([]string{
			code(c.Application.String()), code(c.Image.String()), code(short(c.From)), code(short(c.To)),
			code(c.Rule), code(c.Pusher), code(c.Chain),
		}, " | ") + " |\n"
		if b.Len()+len(line) > room {
			break
		}
		b.WriteString(line)
		told++
	}
	if told < len(changes) {
		fmt.Fprintf(&b, more, len(changes)-told)
	}
	return b.String() + "\n"
}

// short cuts a digest to what people compare.
func short(reference string) string {
	const digits = 12
	i := strings.Index(reference, "sha256:")
	if i < 0 {
		return reference
	}
	return reference[:min(len(reference), i+len("sha256:")+digits)]
}

// code shows a text of others as code in a cell: nothing in it is Markdown,
// a mention, or another line.
func code(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r):
			return ' '
		case r == '`':
			return '\''
		case r == '|':
			return '¦' // an escape would be seen in code on some hosts
		default:
			return r
		}
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ") // all kinds of white space
	if s == "" {
		return ""
	}
	const longest = 200
	return "`" + cut(s, longest) + "`"
}

// cut shortens a text to some bytes, between two characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	const dots = "…"
	return strings.ToValidUTF8(s[:most-len(dots)], "") + dots
}
