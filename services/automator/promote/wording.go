package promote

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"text/template"

	"github.com/slipway-cd/slipway/events"
)

// Wording writes how the commit message of a batch begins: its subject and,
// after an empty line, whatever else people want to read. What [ParseMessage]
// reads follows it in any case. nil is the wording of [Message].
type Wording struct{ template *template.Template }

// ErrWording says that a template can't word commit messages.
var ErrWording = errors.New("bad template of commit messages")

// Told is what a template of commit messages knows.
type Told struct {
	Repository, Branch string
	Changes            []ToldChange
}

// ToldChange is one application's move.
type ToldChange struct {
	Application              string // cluster/namespace/name
	Cluster, Namespace, Name string
	Image                    string // repository
	From, To                 string // tags; From is empty where there was none
	FromDigest, ToDigest     string // empty where not pinned
	Chain                    string // of the push
	Pusher                   string // who pushed the image, where its registry tells
	Rule                     string // file and number of the policy's rule
	Approvers                []string
}

// ParseWording reads a template in the language of text/template that gets
// [Told], and tries it; an empty one is the default. All errors are
// [ErrWording].
func ParseWording(text string) (*Wording, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil //nolint:nilnil // nil is the default
	}
	t, err := template.New("message").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWording, err)
	}
	w := &Wording{t}
	for _, changes := range [][]Change{examples[:1], examples} {
		if _, err := w.Message(exampleName, "main", changes); err != nil {
			return nil, fmt.Errorf("with %d changes: %w", len(changes), err)
		}
	}
	return w, nil
}

var (
	exampleName = events.GitRepository("git.example.com/acme/config")
	examples    = []Change{
		{
			Chain: "6ba7b810-9dad-41d1-80b4-00c04fd430c8", Application: events.Application{Cluster: "production", Namespace: "shop", Name: "web"},
			Image: events.ImageRepository{Host: "ghcr.io", Path: "acme/web"}, From: "1.0.0", To: "1.1.0@sha256:" + strings.Repeat("ab", 32),
			Pusher: "maria", Rule: "policies/shop.yaml#1", Approvers: []string{"omar"},
		},
		{
			Chain: "6ba7b811-9dad-41d1-80b4-00c04fd430c8", Application: events.Application{Cluster: "staging", Namespace: "shop", Name: "api"},
			Image: events.ImageRepository{Host: "ghcr.io", Path: "acme/api"}, To: "2.0.0",
		},
	}
)

// Message writes a commit message as [Message] does, with its own beginning.
// The error is [ErrWording] where the template fails, gives no subject, or
// says something that [ParseMessage] would take for a change.
func (w *Wording) Message(repo events.GitRepository, branch string, changes []Change) (string, error) {
	plain := Message(changes)
	if w == nil {
		return plain, nil
	}
	told := Told{Repository: string(repo), Branch: branch}
	for _, c := range changes {
		told.Changes = append(told.Changes, c.told())
	}
	var b strings.Builder
	if err := w.template.Execute(&b, told); err != nil {
		return "", fmt.Errorf("%w: %w", ErrWording, err)
	}
	head := strings.TrimSpace(strings.ReplaceAll(b.String(), "\r\n", "\n"))
	if head == "" {
		return "", fmt.Errorf("%w: it gives an empty message", ErrWording)
	}
	_, rest, _ := strings.Cut(plain, "\n\n")
	message := head + "\n\n" + rest
	if !reflect.DeepEqual(ParseMessage(message), ParseMessage(plain)) {
		return "", fmt.Errorf("%w: a line of it reads like one of the changes or trailers that follow it", ErrWording)
	}
	return message, nil
}

func (c Change) told() ToldChange {
	from, fromDigest, _ := strings.Cut(c.From, "@")
	to, toDigest, _ := strings.Cut(c.To, "@")
	return ToldChange{
		Application: c.Application.String(), Cluster: c.Application.Cluster, Namespace: c.Application.Namespace, Name: c.Application.Name,
		Image: c.Image.String(), From: from, To: to, FromDigest: fromDigest, ToDigest: toDigest,
		Chain: c.Chain, Pusher: oneLine(c.Pusher), Rule: oneLine(c.Rule), Approvers: c.Approvers,
	}
}
