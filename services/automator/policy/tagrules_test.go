package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
)

// TestTagsOfTheWorld reads tags as registries really have them: what each is
// to a track that takes everything, with and without a current tag.
func TestTagsOfTheWorld(t *testing.T) {
	const (
		release = "release"
		pre     = "pre-release"
		variant = "variant"
		none    = "no version"
	)
	for tag, want := range map[string]string{
		// Releases, and builds of releases.
		"1.2.3": release, "v3.2.0": release, "2024.10.1": release, "20241101": release, "22": release, "16.4": release, "0.0.0": release,
		"1.2.3-abcdef0": release, "1.2.3-3f9a1c2": release, "1.2.3-sha-abcdef0": release, "1.2.3-g2414721": release, "1.2.3-sha-2414721": release,
		"1.2.3-ABCDEF0": release, "1.2.3-" + strings.Repeat("0a", 20): release, "1.2.3-ea12b45": release, "18446744073709551615.0.0": release,
		// Suffixes that must not change.
		"1.27.3-alpine3.20-perl": variant, "16.4-bookworm": variant, "22-alpine": variant, "7.4.1-alpine3.20": variant, "11.3.0-ubuntu": variant,
		"1.2.3-debian-12-r7": variant, "17.5.1-ce.0": variant, "1.2.3-windowsservercore-ltsc2022": variant, "8.0-jammy-chiseled": variant,
		"1.2.3-early": variant, "1.2.3-mariadb": variant, "1.2.3-master": variant, "1.2.3-release": variant, "1.2.3-devel": variant,
		"1.2.3-prefix": variant, "1.2.3-betamax": variant, "1.2.3-canaryisland": variant, "1.2.3-abcdef": variant, "1.2.3-gabcdef": variant,
		"1.2.3-" + strings.Repeat("ab", 21): variant, "1.2.3-alpine-3f9a1c2": variant, "1.2.3--": variant, "1.2.3-sha-zzz": variant, "1.2.3-eabcde": variant,
		// Pre-releases, those of a variant among them.
		"v1.31.0-rc.1": pre, "1.31.0-RC1": pre, "3.0.0-alpha": pre, "3.0.0-Beta.2": pre, "8.0.0-preview.3-jammy": pre, "1.0.0-SNAPSHOT": pre, "1.0.0-M2": pre,
		"1.0.0-m": pre, "1.0.0-nightly": pre, "1.0.0-nightly20241101": pre, "1.0.0-canary.7": pre, "21-ea": pre, "21-ea-11-jdk": pre, "1.0.0-dev": pre, "1.0.0-dev-main": pre,
		"1.0.0-pre1": pre, "1.2.0-rc1-alpine": pre, "1.0.0-rc_1": pre, "1.0.0-0.3": pre, "1.0.0-1": pre, "8.0-1": pre,
		"v1.2.3-14-g2414721": pre, "1.2.3-20241101": pre, "1.2.3-1234567": pre, "1.2.3-ea20241101": pre, "1.2.3-20241101.123456-1": pre, "1.0.0-01": pre,
		// What is no version to SemVer.
		"3.13.0rc2-slim": none, "1.23rc1-alpine": none, "21.0.5_11-jre": none, "version-1.2.3": none, "2024.01.02": none, "24.04": none,
		"1.2.3.4": none, "latest": none, "stable": none, "v": none, "vv1.0.0": none, "V1.0.0": none, "1.": none, ".1": none, "1..2": none, "1.2.3-": none,
		"1.2.3_4": none, "01.2.3": none, "1.2.x": none, "18446744073709551616.0.0": none, "99999999999999999999.0.0": none, "1,2": none,
		"１.2.3": none, "1.2.3+build": none, "1.2.3 ": none, "1.2.3-rc1+x": none, "": none, "1.2.3\n": none, "-1.2.3": none, "\xff": none,
	} {
		reason := func(current string) string {
			c, err := policy.Choose(api.Track{Semver: &api.Semver{Range: "*"}}, policy.Question{
				Current: policy.Tag{Name: current}, Tags: []policy.Tag{{Name: tag}},
			})
			if err != nil {
				t.Fatal(err)
			}
			return c.Verdicts[0].Reason
		}
		got := none
		switch {
		// Without a current tag the variant alone would be told.
		case strings.Contains(reason(tag), "pre-release"):
			got = pre
		case reason("") == "is the best":
			got = release
		case strings.Contains(reason(""), "variant"):
			got = variant
		}
		if got != want {
			t.Errorf("%q is read as %s, want %s: %s", tag, got, want, reason(""))
		}
	}
}

func at(hour int) time.Time { return time.Date(2026, 11, 23, hour, 0, 0, 0, time.UTC) }

func TestOfEqualVersions(t *testing.T) {
	for name, c := range map[string]struct {
		current policy.Tag
		tags    []policy.Tag
		want    string
	}{
		"the build created last": {policy.Tag{}, []policy.Tag{{Name: "1.1.0-aaaaaaa", Created: at(1)}, {Name: "1.1.0-fffffff", Created: at(3)}, {Name: "1.1.0-ccccccc", Created: at(2)}}, "1.1.0-fffffff"},
		"a later build of the current version": {
			policy.Tag{Name: "1.1.0-aaaaaaa"},
			[]policy.Tag{{Name: "1.1.0-aaaaaaa", Created: at(1)}, {Name: "1.1.0-bbbbbbb", Created: at(2)}},
			"1.1.0-bbbbbbb",
		},
		"another name of the current image": {
			policy.Tag{Name: "1.1.0-aaaaaaa", Digest: "sha256:a"},
			[]policy.Tag{{Name: "1.1.0-aaaaaaa", Digest: "sha256:a", Created: at(1)}, {Name: "1.1.0", Digest: "sha256:a", Created: at(2)}},
			"",
		},
		"an earlier build is none": {
			policy.Tag{Name: "1.1.0-aaaaaaa"},
			[]policy.Tag{{Name: "1.1.0-aaaaaaa", Created: at(2)}, {Name: "1.1.0-bbbbbbb", Created: at(1)}},
			"",
		},
		"builds without times: the first by bytes": {policy.Tag{}, []policy.Tag{{Name: "1.1.0-ccccccc"}, {Name: "1.1.0-aaaaaaa"}}, "1.1.0-aaaaaaa"},
		"one without a time is the oldest":         {policy.Tag{}, []policy.Tag{{Name: "1.1.0-aaaaaaa"}, {Name: "1.1.0-ccccccc", Created: at(1)}, {Name: "1.1.0-bbbbbbb"}}, "1.1.0-ccccccc"},
		"the current's way with v, whatever the times": {
			policy.Tag{Name: "v1.0.0"},
			[]policy.Tag{{Name: "1.1.0", Created: at(2)}, {Name: "v1.1.0", Created: at(1)}},
			"v1.1.0",
		},
		"without v":              {policy.Tag{Name: "latest"}, []policy.Tag{{Name: "v1.1.0", Created: at(2)}, {Name: "1.1.0", Created: at(1)}}, "1.1.0"},
		"the first by bytes":     {policy.Tag{}, []policy.Tag{{Name: "1.1.0"}, {Name: "1.1"}}, "1.1"},
		"given twice, told once": {policy.Tag{}, []policy.Tag{{Name: "1.1.0"}, {Name: "1.1.0"}}, "1.1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := policy.Choose(api.Track{Semver: &api.Semver{Range: "*"}}, policy.Question{Current: c.current, Tags: c.tags})
			if err != nil || got.Tag != c.want {
				t.Fatalf("chose %q, %v, want %q; verdicts %+v", got.Tag, err, c.want, got.Verdicts)
			}
		})
	}
}

func TestRanges(t *testing.T) {
	for text, c := range map[string]struct{ in, out string }{
		"^1.2.3":              {"1.2.3 1.9.0", "1.2.2 2.0.0 2.0.0-rc1"},
		"^0.2.3":              {"0.2.3 0.2.9", "0.3.0 1.0.0 0.2.2"},
		"^0.0.3":              {"0.0.3", "0.0.4 0.1.0"},
		"~1.2":                {"1.2.0 1.2.9", "1.3.0 1.1.9"},
		"~1.2.3":              {"1.2.3 1.2.9", "1.2.2 1.3.0"},
		"1.2 - 1.4.5":         {"1.2.0 1.4.5", "1.4.6 1.1.9"},
		"1.x || >=3.1 <4":     {"1.0.0 1.99.0 3.1.0", "2.0.0 3.0.9 4.0.0 4.0.0-rc1"},
		"1.2.*":               {"1.2.0 1.2.99", "1.3.0"},
		">=1.0 <2.0":          {"1.0.0 1.99.99", "2.0.0 2.0.0-rc1 0.9.9"},
		">=1.0, <2.0, !=1.5":  {"1.4.9", "1.5.0 1.5.9"},
		">1.2":                {"1.3.0", "1.2.9"},
		"=1.2.3":              {"1.2.3", "1.2.4"},
		">=1.0.0-0 <2.0.0":    {"1.0.0 1.0.0-rc1 1.5.0-rc1", "2.0.0-rc1 2.0.0"},
		">=2.0.0-beta <2.0.0": {"2.0.0-rc1 2.0.0-beta.2", "2.0.0-alpha 2.0.0"},
		"<2-0":                {"1.9.0", "2.0.0-rc1"},
	} {
		for list, want := range map[string]bool{c.in: true, c.out: false} {
			for tag := range strings.FieldsSeq(list) {
				got, err := policy.Choose(api.Track{Semver: &api.Semver{Range: text}}, policy.Question{Tags: []policy.Tag{{Name: tag}}})
				if err != nil || (got.Tag == tag) != want {
					t.Errorf("%s in %q: %v, %v, want %v: %s", tag, text, got.Tag == tag, err, want, got.Verdicts[0].Reason)
				}
			}
		}
	}
}
