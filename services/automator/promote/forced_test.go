package promote_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
)

// forces has the branch go back by one commit, and gives what its head was.
func (b *bench) forces() (dropped string) {
	b.t.Helper()
	b.git.Pull()
	dropped = b.git.Git("rev-parse", "HEAD")
	b.git.Git("reset", "-q", "--hard", "HEAD~1")
	b.git.Git("push", "-q", "-f", "origin", "HEAD:main")
	return dropped
}

func (b *bench) announced() *bus.Bucket {
	b.t.Helper()
	bucket, err := b.bus.Bucket(b.t.Context(), "slipway-announced", bus.BucketOptions{})
	must(b.t, err)
	return bucket
}

func (b *bench) merged() (commits []string) {
	for _, e := range b.told(events.ChangeMergedType) {
		commits = append(commits, e.Payload.(events.ChangeMerged).Commit)
	}
	return commits
}

func TestWhatLandsAfterAForcedPushIsToldByWhoeverGoesOn(t *testing.T) {
	b := deployed(t, nil, "1.1.0", "1.2.0")
	dropped := b.forces()
	// Another replica moves it again and dies before it tells; a person commits, too.
	b.git.Git("cherry-pick", dropped)
	b.git.Git("commit", "-q", "--amend", "--no-edit", "--date=2026-01-01T00:00:00Z")
	again := b.git.Git("rev-parse", "HEAD")
	b.git.Git("push", "-q", "origin", "HEAD:main")
	b.git.Commit("a person's", map[string]string{"README.md": "# Shop\n"})
	must(t, b.work("head"))
	if got := b.merged(); len(got) != 3 || got[2] != again {
		t.Fatalf("told of %v, want %s last", got, again)
	}
}

func TestWhoKnowsNothingOfAForcedPushFindsItRecorded(t *testing.T) {
	b := deployed(t, nil, "1.1.0", "1.2.0")
	b.forces()
	forced := b.git.Git("rev-parse", "HEAD")
	announced, pushes := b.announced(), 0
	b.before = func(r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
			return
		}
		pushes++
		if e, err := announced.Get(t.Context(), b.key); err != nil || !strings.HasPrefix(string(e.Value), forced+" ") {
			t.Errorf("as it pushes, %.10s is recorded (%v), want %.10s: the pushed commit would be in line with nothing", e.Value, err, forced)
		}
	}
	must(t, b.work("ghcr.io/acme/web:1.2.0"))
	if pushes == 0 || b.uses() != "1.2.0" {
		t.Fatalf("%d pushes, uses %s", pushes, b.uses())
	}
}

// takesBack is a person's revert of the last commit.
func (b *bench) takesBack() {
	b.t.Helper()
	b.git.Pull()
	b.git.Git("revert", "--no-edit", "HEAD")
	b.git.Git("push", "-q", "origin", "HEAD:main")
}

// What another replica has moved, and a person has moved back, is as this one has read it
// before: there is nothing between the two to see.
func TestAReplicaSeesWhatCameAndWentWhileAnotherWorked(t *testing.T) {
	for name, c := range map[string]struct {
		person      func(b *bench)
		uses, holds string
	}{
		"by a revert":      {(*bench).takesBack, "1.1.0", "placed sha256:11"},
		"by a forced push": {func(b *bench) { b.forces() }, "1.2.0", ""},
		"by a forced push, and a third died before it decided": {func(b *bench) {
			dropped := b.forces()
			_, err := b.announced().Put(b.t.Context(), b.key, []byte(b.git.Git("rev-parse", "HEAD")+" "+dropped))
			must(b.t, err)
		}, "1.2.0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			one := deployed(t, nil, "1.1.0")
			two := one.replica()
			must(t, two.work("head"))
			one.pushed("1.2.0", digestOf(1))
			must(t, one.work("ghcr.io/acme/web:1.2.0"))
			c.person(one)
			must(t, two.work("head"))
			if got := two.holds(); two.uses() != c.uses || got != c.holds {
				t.Errorf("uses %s, want %s; holds %q, want %q; %q", two.uses(), c.uses, got, c.holds, two.decisions())
			}
		})
	}
}

func TestARevertOfWhatNobodyHasRecordedIsARevert(t *testing.T) {
	b := deployed(t, nil, "1.1.0", "1.2.0")
	b.git.Pull()
	_, err := b.announced().Put(t.Context(), b.key, []byte(b.git.Git("rev-parse", "HEAD~1"))) // who moved it has died since
	must(t, err)
	b.takesBack()
	other := b.replica()
	must(t, other.work("head"))
	if got := other.holds(); other.uses() != "1.1.0" || got != "placed sha256:11" {
		t.Errorf("uses %s, holds %q; %q", other.uses(), got, other.decisions())
	}
}
