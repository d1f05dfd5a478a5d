package policy_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
)

// everyTrack has each row of the table, in every form.
var everyTrack = []string{
	`semver: "*"`, `semver: ">=1 <9"`, `semver: "^3 || ~2.4"`, `semver: {range: ">=1.0.0-0 <9", ignore: ["^1[.]"]}`,
	`semver: {range: "*", prereleases: true}`, `semver: {range: "*", match: "^v?(?P<order>[^-]*)"}`,
	`numeric: {}`, `numeric: {match: "^v?(?P<order>[0-9]+)"}`, `numeric: {match: "^v?([0-9]+)[.]([0-9]+)", extract: "${2}0$1"}`, `alphabetical: {}`, `alphabetical: {match: "-(?P<order>.*)$", ignore: [rc]}`,
	`newest: {order: numeric}`, `newest: {match: "^v?(?P<order>[0-9]+)", order: alphabetical}`, `newest: {order: created}`,
	`digest: "1.1.1"`, `digest: latest`, `exact: "1"`, `exact: {tag: latest}`, `follow: "staging/{namespace}/{name}"`,
}

func someTag() *rapid.Generator[policy.Tag] {
	part := rapid.IntRange(0, 12)
	return rapid.Custom(func(t *rapid.T) policy.Tag {
		var numbers []string
		for range rapid.IntRange(1, 3).Draw(t, "parts") {
			numbers = append(numbers, strconv.Itoa(part.Draw(t, "part")))
		}
		name := rapid.SampledFrom([]string{"", "v"}).Draw(t, "v") + strings.Join(numbers, ".") +
			rapid.SampledFrom([]string{"", "", "", "-rc1", "-rc2-alpine", "-alpine", "-abc1234", "-gfedcba9", "-20241101"}).Draw(t, "suffix")
		if rapid.IntRange(0, 9).Draw(t, "other") == 0 {
			name = rapid.SampledFrom([]string{"latest", "007", "x", "", "ü", "sha256-" + strings.Repeat("a", 64)}).Draw(t, "word")
		}
		tag := policy.Tag{Name: name, Digest: rapid.SampledFrom([]string{"", "sha256:a", "sha256:b"}).Draw(t, "digest")}
		if hour := rapid.IntRange(0, 4).Draw(t, "hour"); hour > 0 {
			tag.Created = time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC)
		}
		return tag
	})
}

// The laws of every track: what is chosen was given; the order of the tags
// doesn't matter; each tag has one verdict, and one of them the choice; a
// choice is final; what is older is never chosen.
func TestLaws(t *testing.T) {
	for _, text := range everyTrack {
		t.Run(text, func(t *testing.T) {
			track := track(t, text)
			rapid.Check(t, func(t *rapid.T) { laws(t, track) })
		})
	}
}

func laws(t *rapid.T, track api.Track) {
	q := policy.Question{
		Current: someTag().Draw(t, "current"), Follow: someTag().Draw(t, "follow"),
		AllowDowngrade: rapid.Bool().Draw(t, "downgrade"), Tags: rapid.SliceOfN(someTag(), 0, 12).Draw(t, "tags"),
	}
	first := choose(t, track, q)
	chosen := 0
	for i, v := range first.Verdicts {
		if v.Tag != q.Tags[i].Name || v.Reason == "" {
			t.Fatalf("verdict %d is %+v, the tag %q", i, v, q.Tags[i].Name)
		}
		if v.Chosen {
			chosen++
			if v.Tag != first.Tag || q.Tags[i].Digest != first.Digest {
				t.Fatalf("chose %q@%s, and the verdict says %+v", first.Tag, first.Digest, v)
			}
		}
	}
	if want := min(1, len(first.Tag)); len(first.Verdicts) != len(q.Tags) || chosen != want {
		t.Fatalf("%d chosen, want %d, of %+v", chosen, want, first.Verdicts)
	}
	shuffled := q
	shuffled.Tags = slices.Clone(q.Tags)
	rand.Shuffle(len(shuffled.Tags), func(i, j int) {
		shuffled.Tags[i], shuffled.Tags[j] = shuffled.Tags[j], shuffled.Tags[i]
	})
	if second := choose(t, track, shuffled); second.Tag != first.Tag || second.Digest != first.Digest || second.Reason != first.Reason {
		t.Fatalf("chose %q, and %q from the same tags in another order", first.Reason, second.Reason)
	}
	if first.Tag == "" {
		return
	}
	again := q
	again.Current = q.Tags[slices.IndexFunc(first.Verdicts, func(v policy.Verdict) bool { return v.Chosen })]
	if next := choose(t, track, again); next.Tag != "" {
		t.Fatalf("went on from %q@%s to %q@%s: %s", first.Tag, first.Digest, next.Tag, next.Digest, next.Reason)
	}
	// Who may go back from the choice to where it came from, by the same track,
	// was never allowed to leave.
	back := policy.Question{Current: again.Current, Tags: []policy.Tag{q.Current}}
	if q.AllowDowngrade || q.Current.Name == first.Tag || track.Exact != nil || track.Digest != nil || track.Follow != nil {
		return
	}
	if returned := choose(t, track, back); returned.Tag != "" {
		t.Fatalf("chose %q over %q, and the other way round", first.Tag, q.Current.Name)
	}
}

func choose(t rapid.TB, track api.Track, q policy.Question) policy.Choice {
	t.Helper()
	c, err := policy.Choose(track, q)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func FuzzChoose(f *testing.F) {
	for i, text := range everyTrack {
		f.Add(text, "1.0.0", "1.0.0\n1.1.0-rc1\nv2\nlatest", i%2 == 0)
	}
	f.Add(`semver: ">=1.0.0-0 || 99999999999999999999 - *"`, "\xff", "1.2.3-\x00\n\n", true)
	f.Fuzz(func(t *testing.T, text, current, list string, down bool) {
		var track api.Track
		if api.DecodePart("track", []byte(text), &track) != nil || policy.Check(track) != nil {
			return
		}
		q := policy.Question{Current: policy.Tag{Name: current}, AllowDowngrade: down}
		for i, name := range strings.Split(list, "\n") {
			q.Tags = append(q.Tags, policy.Tag{Name: name, Created: time.Unix(int64(len(name)*i), 0)})
		}
		first := choose(t, track, q)
		if _, err := json.Marshal(first); err != nil {
			t.Fatal(err)
		}
		slices.Reverse(q.Tags)
		if second := choose(t, track, q); second.Tag != first.Tag {
			t.Fatalf("chose %q, and backwards %q", first.Tag, second.Tag)
		}
	})
}

func BenchmarkChoose(b *testing.B) {
	q := policy.Question{Current: policy.Tag{Name: "1.0.0"}}
	for i := range 10_000 {
		q.Tags = append(q.Tags, policy.Tag{Name: strconv.Itoa(i%100) + "." + strconv.Itoa(i/100) + ".0" + []string{"", "-rc1", "-alpine", "-abc1234"}[i%4], Created: at(i % 24)})
	}
	for _, text := range everyTrack {
		b.Run(text, func(b *testing.B) {
			track := track(b, text)
			for b.Loop() {
				if _, err := policy.Choose(track, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
