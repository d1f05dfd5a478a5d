package policy_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
)

func tags(s string) []policy.Tag {
	var all []policy.Tag
	for name := range strings.FieldsSeq(s) {
		all = append(all, policy.Tag{Name: name})
	}
	return all
}

func TestSemver(t *testing.T) {
	for name, c := range map[string]struct {
		track   api.Semver
		current string
		down    bool
		tags    string
		want    string
	}{
		"greatest in range":                    {api.Semver{Range: ">=1.4 <2"}, "1.4.0", false, "1.4.1 1.9.3 1.10.0 2.0.0 1.2.0", "1.10.0"},
		"none better":                          {api.Semver{Range: ">=1 <2"}, "1.10.0", false, "1.9.0 1.10.0 0.1.0", ""},
		"never older":                          {api.Semver{Range: "<2"}, "2.1.0", false, "1.9.0 1.10.0", ""},
		"older when allowed":                   {api.Semver{Range: "<2"}, "2.1.0", true, "1.9.0 1.10.0", "1.10.0"},
		"no current":                           {api.Semver{Range: "*"}, "", false, "1.0.0 1.1.0", "1.1.0"},
		"unreadable current is older than all": {api.Semver{Range: ">=0.1"}, "latest", false, "0.1.0 0.2.0 latest", "0.2.0"},
		"precision is kept":                    {api.Semver{Range: "*"}, "1.1", false, "1.1 1.2 1.2.0 1.3.5 2", "1.2"},
		"one number stays one number":          {api.Semver{Range: "*"}, "7", false, "7 8 8.1 8.1.2", "8"},
		"variant is kept":                      {api.Semver{Range: "*"}, "1.0.0-alpine", false, "1.1.0 1.1.0-alpine 1.2.0-bookworm-slim", "1.1.0-alpine"},
		"no variant without a current":         {api.Semver{Range: "*"}, "", false, "1.1.0-alpine 1.0.0", "1.0.0"},
		"variants are not pre-releases":        {api.Semver{Range: ">=1 <2"}, "1.0.0-ubuntu", false, "1.5.0-ubuntu 1.6.0-rc1", "1.5.0-ubuntu"},
		"pre-releases are out":                 {api.Semver{Range: ">=1"}, "1.0.0", false, "1.1.0-rc1 1.1.0-0.3 1.1.0-SNAPSHOT 1.1.0-M2 1.1.0-beta.4", ""},
		"pre-releases when asked for":          {api.Semver{Range: ">=1", Prereleases: true}, "1.0.0", false, "1.1.0-rc1 1.1.0-beta.4", "1.1.0-rc1"},
		"a pre-release of what is outside":     {api.Semver{Range: ">=1.0 <2.0", Prereleases: true}, "1.0.0", false, "2.0.0-rc1 1.1.0-rc1", "1.1.0-rc1"},
		"one that the range names":             {api.Semver{Range: ">=1.0.0 <2.0.0-rc5"}, "1.0.0", false, "2.0.0-rc1 2.0.0-rc5 1.9.0", "2.0.0-rc1"},
		"ignored, and still the current":       {api.Semver{Range: "*", Filter: api.Filter{Ignore: []string{`^1\.5\.`}}}, "1.5.0", false, "1.4.0 1.5.0", ""},
		"precision is kept with match":         {api.Semver{Range: "*", Filter: api.Filter{Match: `^web-(?<order>.+)$`}}, "web-1.1", false, "web-1.2 web-1.2.1", "web-1.2"},
		"suffixes with match are SemVer's":     {api.Semver{Range: "*", Filter: api.Filter{Match: `.`}}, "1.0.0", false, "1.1.0-alpine 1.1.0-abcdef0", ""},
		"v in front of the group":              {api.Semver{Range: "*", Filter: api.Filter{Match: `^v?(?P<order>[0-9.]+)$`}}, "v1.0.0", false, "1.1.0 v1.1.0", "v1.1.0"},
		"variant of a pre-release is kept":     {api.Semver{Range: "*", Prereleases: true}, "1.0.0-alpine", false, "1.1.0-rc1-alpine 1.2.0-rc1 1.2.0-rc1-slim", "1.1.0-rc1-alpine"},
		"an unreadable current of a variant":   {api.Semver{Range: "*"}, "latest-alpine", false, "1.1.0-alpine 1.0.0", "1.0.0"},
		"a range that names pre-releases":      {api.Semver{Range: ">=1.0.0-0"}, "1.0.0", false, "1.1.0-rc1", "1.1.0-rc1"},
		"words that only begin like one":       {api.Semver{Range: "*"}, "1.0.0-mariadb", false, "1.1.0-mariadb 1.1.0-early", "1.1.0-mariadb"},
		"v as the current has it":              {api.Semver{Range: "*"}, "v1.0.0", false, "1.1.0 v1.1.0", "v1.1.0"},
		"without v by default":                 {api.Semver{Range: "*"}, "", false, "v1.1.0 1.1.0", "1.1.0"},
		"the same version is no move":          {api.Semver{Range: "*"}, "v1.1.0", false, "1.1.0", ""},
		"build ids are the same version":       {api.Semver{Range: "*"}, "1.0.0-3f9a1c2", false, "1.1.0-g1a2b3c4 1.0.0-9999999", "1.1.0-g1a2b3c4"},
		"dates are pre-releases":               {api.Semver{Range: "*"}, "1.0.0", false, "1.1.0-20240101", ""},
		"dates with leading zeros":             {api.Semver{Range: "*"}, "", false, "2024.01.02", ""},
		"cosign's tags":                        {api.Semver{Range: "*"}, "", false, "sha256-" + strings.Repeat("a", 64) + ".sig 1.0.0", "1.0.0"},
		"match with order":                     {api.Semver{Range: "*", Filter: api.Filter{Match: `^web-(?P<order>.+)$`}}, "web-1.0.0", false, "web-1.2.0 api-3.0.0 2.0.0", "web-1.2.0"},
		"match without order":                  {api.Semver{Range: "*", Filter: api.Filter{Match: `^1\.`}}, "1.0.0", false, "1.1.0 2.0.0", "1.1.0"},
		"ignore":                               {api.Semver{Range: "*", Filter: api.Filter{Ignore: []string{`^1\.2\.`}}}, "1.0.0", false, "1.1.0 1.2.0 1.2.1", "1.1.0"},
		"what is no version":                   {api.Semver{Range: "*"}, "", false, "nan inf 1e3 latest main ünï 1.2.3.4 01.2.3 1.-2.3", ""},
		"one bad tag among good":               {api.Semver{Range: "*"}, "", false, "99999999999999999999.0.0 1.0.0 \x00", "1.0.0"},
		"signatures of every kind":             {api.Semver{Range: "*"}, "", false, "sha256-" + strings.Repeat("0", 64) + " sha512-" + strings.Repeat("b", 128) + ".sbom sha256-" + strings.Repeat("a", 64) + ".sigstore.json", ""},
		"nothing":                              {api.Semver{Range: "*"}, "1.0.0", false, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := policy.Choose(api.Track{Semver: &c.track}, policy.Question{Current: policy.Tag{Name: c.current}, AllowDowngrade: c.down, Tags: tags(c.tags)})
			if err != nil {
				t.Fatal(err)
			}
			if got.Tag != c.want {
				t.Fatalf("chose %q, want %q; verdicts: %+v", got.Tag, c.want, got.Verdicts)
			}
			for _, v := range got.Verdicts {
				if v.Reason == "" || v.Chosen != (v.Tag == c.want && c.want != "") {
					t.Errorf("verdict %+v", v)
				}
			}
		})
	}
}

func TestAWrongRangeIsToldWithItsText(t *testing.T) {
	for _, r := range []string{"", ">=a.b", "1 < 2 <<3", "nan", ">=1 &&"} {
		_, err := policy.Choose(api.Track{Semver: &api.Semver{Range: r}}, policy.Question{})
		if err == nil || !strings.Contains(err.Error(), "range") {
			t.Errorf("range %q: %v, want an error that names it", r, err)
		}
	}
}
