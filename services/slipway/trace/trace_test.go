package trace_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/slipway/trace"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

const (
	digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	chainA = "aaaaaaaa-0b6d-5c8f-8c1a-2f7a9d3e4b50"
	chainB = "bbbbbbbb-0b6d-5c8f-8c1a-2f7a9d3e4b50"
	chainC = "cccccccc-0b6d-5c8f-8c1a-2f7a9d3e4b50"
	commit = "1111111111111111111111111111111111111111"
	later  = "2222222222222222222222222222222222222222"
	config = "git.example.com/acme/config"
	web    = "production/shop/web"
)

// teller stores events of chains.
type teller struct {
	*bus.Bus
	t *testing.T
	n int
}

func (l *teller) tell(chain string, payloads ...events.Payload) {
	l.t.Helper()
	var all []events.Event
	for _, p := range payloads {
		l.n++
		e, err := events.New(events.Meta{ID: fmt.Sprint(chain, "-", l.n), Source: "/test", ChainID: chain, Time: time.Now()}, p)
		if err != nil {
			l.t.Fatal(err)
		}
		all = append(all, e)
	}
	if err := l.Publish(l.t.Context(), all...); err != nil {
		l.t.Fatal(err)
	}
}

func pushed(registry, name, tag string) events.Payload {
	return events.ArtifactPublished{Artifact: events.Artifact{Registry: registry, Repository: name, Digest: digest, Tag: tag, Provider: "test", Source: "test"}}
}

func merged(commit, tag string) events.Payload {
	return events.ChangeMerged{Repository: config, Branch: "main", Commit: commit, Application: web, Image: "ghcr.io/acme/web", From: "1.0.0", To: tag + "@" + digest}
}

func started(commit string) events.Payload {
	return events.PipelineRunStarted{Run: events.Run{Application: web, Commit: commit}}
}

// story is three changes: A and B bring two versions of web, of which B, that came
// second, was merged first; C brings another image, of Docker Hub.
func story(t *testing.T) *bus.Bus {
	t.Helper()
	l := &teller{Bus: bustest.Start(t), t: t}
	l.tell(chainA, pushed("ghcr.io", "acme/web", "1.1.0"), pushed("ghcr.io", "acme/web", "latest"))
	l.tell(chainB, pushed("ghcr.io", "acme/web", "1.2.0"))
	l.tell(chainC, pushed("docker.io", "library/nginx", "1.27"))
	l.tell(chainB, merged(commit, "1.2.0"), started(commit))
	l.tell(chainA, merged(later, "1.1.0"), started(later))
	return l.Bus
}

func TestAReferenceGivesItsChains(t *testing.T) {
	b := story(t)
	const wayA, wayB = "published published merged started", "published merged started"
	for ref, want := range map[string]string{
		"ghcr.io/acme/web:1.1.0":     chainA + " " + wayA,
		"ghcr.io/acme/web:latest":    chainA + " " + wayA,
		"ghcr.io/acme/web:1.2.0":     chainB + " " + wayB,
		"ghcr.io/acme/web":           chainB + " " + wayB, // the last that was pushed
		"ghcr.io/acme/web@" + digest: chainB + " " + wayB,
		"nginx:1.27":                 chainC + " published",
		"docker.io/library/nginx":    chainC + " published",
		web:                          chainA + " " + wayA, // the last that changed it
		commit[:8]:                   chainB + " " + wayB,
		later:                        chainA + " " + wayA,
		chainB:                       chainB + " " + wayB,
	} {
		t.Run(ref, func(t *testing.T) {
			found, err := trace.Find(t.Context(), b, ref)
			if err != nil || len(found) != 1 {
				t.Fatalf("%d chains, %v", len(found), err)
			}
			words := []string{found[0].ID}
			for _, s := range found[0].Steps {
				words = append(words, s.Step[strings.LastIndex(s.Step, ".")+1:])
			}
			if got := strings.Join(words, " "); got != want {
				t.Errorf("it gives\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestACommitOfTwoChangesGivesBothTheNewestFirst(t *testing.T) {
	l := &teller{Bus: bustest.Start(t), t: t}
	for _, chain := range []string{chainA, chainC, chainB} {
		l.tell(chain, merged(commit, "1.1.0"))
	}
	l.tell(chainC, merged(later, "1.2.0"))
	found, err := trace.Find(t.Context(), l, commit)
	if err != nil || len(found) != 3 || found[0].ID != chainB || found[1].ID != chainC || found[2].ID != chainA || len(found[1].Steps) != 2 {
		t.Errorf("%v, %v", found, err)
	}
}

func TestWhatNoEventIsAboutIsNotFound(t *testing.T) {
	b := story(t)
	for _, ref := range []string{"ghcr.io/acme/web:9", "ghcr.io/acme/other", "staging/shop/web", "fffffff", "dddddddd-0b6d-5c8f-8c1a-2f7a9d3e4b50"} {
		if found, err := trace.Find(t.Context(), b, ref); !errors.Is(err, trace.ErrNotFound) {
			t.Errorf("%s: %v, %v", ref, found, err)
		}
	}
	if _, err := trace.Find(t.Context(), b, "no such thing"); err == nil || errors.Is(err, trace.ErrNotFound) {
		t.Errorf("nonsense: %v", err)
	}
}
