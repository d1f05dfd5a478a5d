package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
)

func readTrack(text string) (api.Track, error) {
	var t api.Track
	if err := api.DecodePart("track", []byte(text), &t); err != nil {
		return t, err
	}
	return t, t.Validate()
}

func TestEveryFormOfATrackIsRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`semver: ">=1.4 <2"`: `{"semver":{"range":">=1.4 <2"}}`,
		`semver: {range: "*", prereleases: true, match: a, ignore: [b]}`: `{"semver":{"range":"*","prereleases":true,"match":"a","ignore":["b"]}}`,
		`numeric: {}`:                          `{"numeric":{}}`,
		`numeric: {match: '(?<order>[0-9]+)'}`: `{"numeric":{"match":"(?<order>[0-9]+)"}}`,
		`numeric: {match: '^b([0-9]+)-(?<x>[0-9])$', extract: '$1${x}0'}`:         `{"numeric":{"match":"^b([0-9]+)-(?<x>[0-9])$","extract":"$1${x}0"}}`,
		`alphabetical: {ignore: ['^a']}`:                                          `{"alphabetical":{"ignore":["^a"]}}`,
		`newest: {match: '^main-[0-9a-f]{7}-(?P<order>[0-9]+)$', order: numeric}`: `{"newest":{"order":"numeric","match":"^main-[0-9a-f]{7}-(?P<order>[0-9]+)$"}}`,
		`newest: {order: created}`:                                                `{"newest":{"order":"created"}}`,
		`digest: main`:                                                            `{"digest":{"tag":"main"}}`,
		`exact: "1.4"`:                                                            `{"exact":{"tag":"1.4"}}`,
		`exact: {tag: main, match: main}`:                                         `{"exact":{"tag":"main","match":"main"}}`,
		`follow: "staging/{namespace}/{name}"`:                                    `{"follow":{"application":"staging/{namespace}/{name}"}}`,
		`follow: {application: "a-{cluster}/b/c", ignore: [x]}`:                   `{"follow":{"application":"a-{cluster}/b/c","ignore":["x"]}}`,
	} {
		track, err := readTrack(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := json.Marshal(track)
		if err != nil || strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(got)) != want {
			t.Errorf("%s is read as %s, %v, want %s", text, got, err, want)
		}
		// What is written from a track is read as the same.
		if again, err := readTrack(string(got)); err != nil {
			t.Errorf("%s: read again: %v", got, err)
		} else if twice, _ := json.Marshal(again); string(twice) != string(got) {
			t.Errorf("%s is read again as %s", got, twice)
		}
	}
}

func TestAWrongTrackIsToldWhereAndWhy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{}`:                                     "exactly one of semver, numeric, alphabetical, newest, digest, exact and follow is required",
		`numeric:`:                               "one without options is written with {}",
		`{semver: "*", exact: x}`:                "not semver and exact together",
		"semver: '*'\nsemvar: '*'":               "track:2: semvar: unknown field",
		"semver: '*'\nsemver: '*'":               "track:2: semver: is there twice",
		"numeric:\n  mach: x":                    "track:2: numeric.mach: unknown field",
		`numeric: true`:                          "track:1: numeric: must be a mapping",
		`numeric: {ignore: x}`:                   "track:1: numeric.ignore: must be a list",
		`semver: 1.4`:                            "track:1: semver: must be a string (put it in quotes)",
		`semver: ""`:                             "semver: range is empty",
		`semver: {range: 1}`:                     "range: is a number and must be a string",
		`semver: {range: "*", x: 1}`:             `track:1: semver: unknown field "x"`,
		`semver: {prereleases: true}`:            "semver: range is empty",
		`semver: [a]`:                            "must be a string",
		`newest: {}`:                             "newest: order is required: numeric, alphabetical or created",
		`newest: {order: age}`:                   `newest: order "age" is none of`,
		`newest: main`:                           "newest: must be a mapping",
		`exact: 1.4`:                             "exact: must be a string (put it in quotes)",
		`exact: a:b`:                             `exact: "a:b" is not a tag`,
		`digest: ""`:                             `digest: "" is not a tag`,
		`digest: {tag: main, ignore: ["^m"]}`:    `digest: ignore "^m" leaves out the tag main itself`,
		`exact: {tag: main, match: "^x"}`:        `exact: match "^x" doesn't match the tag main itself`,
		`follow: web`:                            "not cluster/namespace/name",
		`follow: "{region}/a/b"`:                 "the placeholders are {cluster}, {namespace} and {name}",
		`follow: "{cluster/a/b"`:                 "the placeholders are",
		`follow: "{cluster}/{namespace}/{name}"`: "would wait for itself",
		`follow: "A/b/c"`:                        "lower case",
		`numeric: {match: "("}`:                  `numeric: match: expression "("`,
		`numeric: {match: '(?=a)'}`:              "invalid or unsupported Perl syntax",
		`numeric: {ignore: [a, "["]}`:            `numeric: ignore[1]: expression "["`,
		`numeric: {ignore: [""]}`:                "ignore[0]: is empty",
		"exact: a\n---\nexact: b":                "is a second document",
		`- semver`:                               "must be a mapping",
		`: :`:                                    "track",
		``:                                       "track is empty",

		`numeric: {extract: $1}`:                              "extract: it is made of what match's groups take, and there is no match",
		`numeric: {match: '(?<a>.)(.)', extract: $b}`:         "extract: match \"(?<a>.)(.)\" has no group b",
		`numeric: {match: '(?<a>.)(.)', extract: '${3}'}`:     "has no group 3",
		`numeric: {match: '(?<a>.)(.)', extract: $01}`:        "has no group 01",
		`numeric: {match: '(?<a>.)(.)', extract: $a_x}`:       "has no group a_x",
		`numeric: {match: '(?<a>.)(.)', extract: "$1\u00e9"}`: "has no group 1é",
		`numeric: {match: '(?<a>.)(.)', extract: '${a'}`:      "has a $ that names no group",
		`numeric: {match: '(?<a>.)(.)', extract: a$}`:         "has a $ that names no group",
		`numeric: {match: '(?<a>.)(.)', extract: $$a}`:        "names no group of match",
		`numeric: {match: '(?<a>.)(.)', extract: latest}`:     "names no group of match",
	} {
		if _, err := readTrack(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestAFollowedApplicationIsNamedByItsFollower(t *testing.T) {
	t.Parallel()
	web := events.Application{Cluster: "production", Namespace: "shop", Name: "web"}
	f := api.Follow{Application: "staging/{namespace}/{name}-{cluster}"}
	if got, err := f.Of(web); err != nil || got.String() != "staging/shop/web-production" {
		t.Errorf("%v, %v", got, err)
	}
	f.Application = "production/shop/{name}"
	if got, err := f.Of(web); err == nil {
		t.Errorf("%s follows itself", got)
	}
}

func FuzzTrack(f *testing.F) {
	for _, s := range []string{`semver: "*"`, `{newest: {match: '^(?<order>.)', order: created}}`, `exact: &a [*a]`, `follow: "{cluster}/a/b"`, "digest: !!binary aGk=", "? a\n: b", `numeric: {<<: {match: x}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		track, err := readTrack(text)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Fatalf("%q: an error without words", text)
			}
			return
		}
		written, err := json.Marshal(track)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readTrack(string(written)); err != nil {
			t.Fatalf("%q is written as %s: %v", text, written, err)
		}
	})
}
