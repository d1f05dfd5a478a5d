package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
)

// track reads a track as users write it.
func track(t testing.TB, text string) api.Track {
	t.Helper()
	var into api.Track
	if err := api.DecodePart("track", []byte(text), &into); err != nil {
		t.Fatal(err)
	}
	if err := policy.Check(into); err != nil {
		t.Fatal(err)
	}
	return into
}

func TestTracks(t *testing.T) {
	const main = `{newest: {match: '^main-[0-9a-f]{7}-(?P<order>[0-9]+)$', order: numeric}}`
	for name, c := range map[string]struct{ track, current, tags, want string }{
		"numbers by their value":         {`numeric: {}`, "9", "9 10 2 1", "10"},
		"numbers of any length":          {`numeric: {}`, "", "99999999999999999999999999999999999999998 99999999999999999999999999999999999999999 18446744073709551616", "99999999999999999999999999999999999999999"},
		"only digits are numbers":        {`numeric: {}`, "", "+1 -1 1e3 nan inf 0x10 1_000 1.5 ٣ １２ v7 build-9 latest", ""},
		"leading zeros are nothing":      {`numeric: {}`, "7", "007 0000000000000000000000000000006", ""},
		"of equal numbers the first":     {`numeric: {}`, "6", "7 07", "07"},
		"zero is a number":               {`numeric: {}`, "", "0", "0"},
		"never a smaller number":         {`numeric: {}`, "20241101", "20241031", ""},
		"an unreadable current number":   {`numeric: {}`, "latest", "1", "1"},
		"numbers within a tag":           {`numeric: {match: '^build-(?<order>[0-9]+)$'}`, "build-9", "build-10 10 build-x 99", "build-10"},
		"the current's v":                {`numeric: {match: '^v?(?P<order>[0-9]+)$'}`, "v9", "10 v10", "v10"},
		"numbers but some":               {`numeric: {ignore: ['^2']}`, "", "1 2 21", "1"},
		"a group that takes no part":     {`numeric: {match: '^(?:a(?P<order>[0-9]+)|b[0-9]+)$'}`, "", "a1 b2", "a1"},
		"numbers put together":           {`numeric: {match: '^(\d+)-r(\d{2})$', extract: '$1$2'}`, "1-r01", "1-r02 2-r00 2-r99x 150", "2-r00"},
		"a version out of its order":     {`semver: {range: '<9', match: '^(?<minor>\d+)of(?<major>\d+)$', extract: '$major.$minor.0'}`, "1of2", "2of2 0of10 9of1", "2of2"},
		"what may be missing":            {`numeric: {match: '^(\d+)\.?(\d)?$', extract: '$1$2'}`, "", "1.9 20 3.0", "3.0"},
		"nothing is extracted":           {`alphabetical: {match: '^v(\d)?', extract: '$1'}`, "", "v v1 vx", "v1"},
		"a dollar sign is one":           {`alphabetical: {match: '^(\d)', extract: '$$$1'}`, "", "1 2", "2"},
		"letters by their bytes":         {`alphabetical: {}`, "a", "b B Z a10 a9", "b"},
		"dates as letters":               {`alphabetical: {match: '^RELEASE\.'}`, "RELEASE.2024-10-13T13-34-11Z", "RELEASE.2024-11-07T00-52-20Z RELEASE.2023-01-01T00-00-00Z latest", "RELEASE.2024-11-07T00-52-20Z"},
		"letters within a tag":           {`alphabetical: {match: '-(?P<order>.)$'}`, "", "1-c 2-b 3-a", "1-c"},
		"the design's own example":       {main, "main-aaaaaaa-9", "main-bbbbbbb-10 main-ccccccc-2 main-ddddddd-x dev-eeeeeee-11 main-123-12", "main-bbbbbbb-10"},
		"a current of another branch":    {main, "dev-aaaaaaa-99", "main-bbbbbbb-10", "main-bbbbbbb-10"},
		"the same order is no move":      {main, "main-aaaaaaa-10", "main-bbbbbbb-10", ""},
		"newest by letters":              {`newest: {match: '^d-(?P<order>.*)$', order: alphabetical}`, "", "d-2024-01 d-2024-11 z", "d-2024-11"},
		"the exact tag":                  {`exact: stable-2`, "stable-3", "stable-1 stable-2 stable-3 stable-20", "stable-2"},
		"the exact tag, in use":          {`exact: stable-2`, "stable-2", "stable-2 stable-3", ""},
		"the exact tag, not there":       {`exact: stable-2`, "stable-1", "stable-1 stable-3", ""},
		"a moving tag":                   {`digest: main`, "1.0.0", "main 2.0.0", "main"},
		"a moving tag, nothing known":    {`digest: main`, "main", "main", ""},
		"a moving tag by its mapping":    {`digest: {tag: main, ignore: [dev]}`, "", "main dev", "main"},
		"what is followed isn't known":   {`follow: "staging/{namespace}/{name}"`, "1.0.0", "1.0.0 1.1.0", ""},
		"signatures are never the best":  {`alphabetical: {}`, "", "a sha256-" + strings.Repeat("f", 64) + ".sig", "a"},
		"what is no tag is never chosen": {`alphabetical: {}`, "", "a zz/z z~z \x7f ü -z", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := policy.Choose(track(t, c.track), policy.Question{Current: policy.Tag{Name: c.current}, Tags: tags(c.tags)})
			if err != nil || got.Tag != c.want {
				t.Fatalf("chose %q, %v, want %q; verdicts: %+v", got.Tag, err, c.want, got.Verdicts)
			}
			for _, v := range got.Verdicts {
				if v.Reason == "" || v.Chosen != (v.Tag == c.want) {
					t.Errorf("verdict %+v", v)
				}
			}
		})
	}
}

func TestAMovingTagGoesByItsDigest(t *testing.T) {
	digest := func(c string) string { return "sha256:" + strings.Repeat(c, 64) }
	ask := func(text string, q policy.Question) policy.Choice {
		t.Helper()
		c, err := policy.Choose(track(t, text), q)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	moved := []policy.Tag{{Name: "main", Digest: digest("b")}, {Name: "other", Digest: digest("c")}}
	for current, want := range map[string]string{digest("a"): "main", digest("b"): "", "": "main"} {
		got := ask(`digest: main`, policy.Question{Current: policy.Tag{Name: "main", Digest: current}, Tags: moved})
		if got.Tag != want || (want != "" && got.Digest != digest("b")) {
			t.Errorf("from main@%s to %q@%s, want %q", current, got.Tag, got.Digest, want)
		}
	}
	// The other tracks go by names: a tag pushed again is the same to them.
	for _, text := range []string{`exact: main`, `alphabetical: {ignore: [other]}`} {
		if got := ask(text, policy.Question{Current: policy.Tag{Name: "main", Digest: digest("a")}, Tags: moved}); got.Tag != "" {
			t.Errorf("%s went from main to %q", text, got.Tag)
		}
	}
	follows := policy.Question{Current: policy.Tag{Name: "1.0.0"}, Follow: policy.Tag{Name: "main", Digest: digest("b")}, Tags: moved}
	if got := ask(`follow: staging/shop/web`, follows); got.Tag != "main" || got.Digest != digest("b") {
		t.Errorf("followed to %q@%s", got.Tag, got.Digest)
	}
	follows.Follow.Digest = digest("a")
	if got := ask(`follow: staging/shop/web`, follows); got.Tag != "" {
		t.Errorf("followed to %q, which points elsewhere by now", got.Tag)
	}
}

func TestTheYoungestImage(t *testing.T) {
	young := track(t, `newest: {match: '^main-', order: created}`)
	q := policy.Question{Current: policy.Tag{Name: "main-2"}, Tags: []policy.Tag{
		{Name: "main-1", Created: at(1)}, {Name: "main-2", Created: at(3)}, {Name: "main-3", Created: at(2)}, {Name: "main-9"}, {Name: "dev-1", Created: at(9)},
	}}
	if got, _ := policy.Choose(young, q); got.Tag != "" || got.Verdicts[3].Reason != "has no known creation time" {
		t.Errorf("chose %+v, want none", got)
	}
	q.Tags[3].Created = at(4)
	if got, _ := policy.Choose(young, q); got.Tag != "main-9" {
		t.Errorf("chose %+v, want main-9", got)
	}
	// Without the current's time everything is younger.
	q.Tags[1].Created, q.Tags[3].Created = at(0).AddDate(-3000, 0, 0), at(0)
	q.Current.Name = "unknown"
	if got, _ := policy.Choose(young, q); got.Tag != "main-3" {
		t.Errorf("chose %+v, want main-3", got)
	}
}

func TestUndatedAreTheTagsWhoseTimesCount(t *testing.T) {
	list := tags("main-1 main-2 main-2 dev-1 1.0.0-aaaaaaa 1.1.0-aaaaaaa 1.1.0-bbbbbbb 1.1.0")
	for text, want := range map[string]string{
		`newest: {match: '^main-', order: created}`: "[main-1 main-2]",
		`newest: {match: '^main-', order: numeric}`: "[]",
		`semver: "*"`:   "[1.1.0 1.1.0-aaaaaaa 1.1.0-bbbbbbb]",
		`semver: "1.1"`: "[1.1.0 1.1.0-aaaaaaa 1.1.0-bbbbbbb]",
		`numeric: {}`:   "[]",
	} {
		got, err := policy.Undated(track(t, text), policy.Question{Current: policy.Tag{Name: "dev-1"}, Tags: list})
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, %v, want %s", text, got, err, want)
		}
	}
}
