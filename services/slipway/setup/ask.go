package setup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/shared/service"
)

// Ask fills, by questions on out, what was left out. An empty answer takes what
// stands in brackets.
func (a Answers) Ask(in io.Reader, out io.Writer) (Answers, error) {
	q := &questions{in: bufio.NewReader(in), out: out}
	q.text(&a.Cluster, "Name of the cluster", "production")
	q.text(&a.URL, "Address by which registry and Git host reach this machine, such as https://slipway.example.com", "")
	q.text(&a.Registry.Host, "Registry's host, as it stands in image references, such as ghcr.io", "")
	q.one(&a.Registry.Provider, "What kind of registry", GuessRegistry(a.Registry.Host), service.Providers("registry-receiver"))
	if a.Registry.Provider == "aws-sns" {
		q.text(&a.Registry.Topic, "ARN of the topic that tells of images", "")
	}
	q.text(&a.Git.URL, "Config repo's address, such as https://git.example.com/acme/config.git", "")
	q.one(&a.Git.Provider, "What kind of Git host", GuessGit(a.Git.URL), service.Providers("git-receiver"))
	if a.Git.Provider == "aws-sns" {
		q.text(&a.Git.Topic, "ARN of the topic that tells of the repository", "")
	}
	if a.Git.URL != "" && a.bySSH() {
		q.text(&a.Git.SSHKey, "File with an SSH key that may push", "")
		q.text(&a.Git.KnownHosts, "File with the Git host's keys (known_hosts)", "")
	} else {
		q.maybe(&a.Git.Token, "File with a token that may push; empty: later")
	}
	q.text(&a.Data, "Data folder", "/var/lib/slipway")
	return a, q.err
}

// questions stop at the first error.
type questions struct {
	in  *bufio.Reader
	out io.Writer
	err error
}

// line asks once.
func (q *questions) line(what, otherwise string) string {
	if q.err != nil {
		return ""
	}
	fmt.Fprint(q.out, what)
	if otherwise != "" {
		fmt.Fprintf(q.out, " [%s]", otherwise)
	}
	fmt.Fprint(q.out, ": ")
	line, err := q.in.ReadString('\n')
	if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
		q.err = fmt.Errorf("%w: the questions were not all answered: %w", ErrInput, err)
		return ""
	}
	if line = strings.TrimSpace(line); line == "" {
		return otherwise
	}
	return line
}

// text asks until there is an answer, where there was none.
func (q *questions) text(into *string, what, otherwise string) {
	for *into == "" && q.err == nil {
		*into = q.line(what, otherwise)
	}
}

// maybe asks once.
func (q *questions) maybe(into *string, what string) {
	if *into == "" {
		*into = q.line(what, "")
	}
}

// one asks for one of several.
func (q *questions) one(into *string, what, otherwise string, of []string) {
	for *into == "" && q.err == nil {
		answer := q.line(fmt.Sprintf("%s (%s)", what, strings.Join(of, ", ")), otherwise)
		if slices.Contains(of, answer) {
			*into = answer
		}
	}
}
