package migrate

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator"
	"github.com/slipway-cd/slipway/shared/api"
)

// fixed is the one tag that an expression matches; empty when there may be more.
func fixed(expression string) string {
	text, anchored := strings.CutPrefix(expression, "^")
	text, ended := strings.CutSuffix(text, "$")
	if !anchored || !ended {
		return ""
	}
	tag := strings.ReplaceAll(text, `\.`, ".")
	if regexp.QuoteMeta(tag) != text && tag != text || !events.ValidTag(tag) || strings.Contains(text, ".") && !strings.Contains(text, `\.`) {
		return ""
	}
	return tag
}

// glob is a shell pattern as an expression.
func glob(pattern string) string {
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.ReplaceAll(quoted, `\*`, ".*")
	return "^" + strings.ReplaceAll(quoted, `\?`, ".") + "$"
}

// A group of that name means something to our tracks, and nothing elsewhere.
const (
	groupOrder  = `its group "order" would be what is compared`
	renameGroup = "give the group another name there first; no rule is written"
)

// hasOrder is whether an expression has a group of that name.
func hasOrder(expression string) bool {
	re, err := regexp.Compile(expression)
	return err == nil && re.SubexpIndex("order") >= 0
}

// usable is whether the automator can choose by a track; one that isn't is told, so
// that it doesn't take the rules with it that stand beside it.
func usable(at value, track tree) bool {
	text, err := yaml.Marshal(track)
	if err == nil {
		_, err = automator.Try(string(text), "", false, nil)
	}
	if err != nil {
		at.note(Wrong, "what it comes to is not right: "+strings.TrimPrefix(err.Error(), automator.ErrInput.Error()+": "), "mend it there first; no rule is written")
	}
	return err == nil
}

// withFilter is a track's mapping with what is looked at.
func withFilter(t tree, f api.Filter) tree {
	set(t, f.Match, "match")
	set(t, f.Extract, "extract")
	set(t, anyList(f.Ignore), "ignore")
	return t
}

// repository is an image's name as policies write it.
func repository(image string) (string, error) {
	r, err := events.ParseImageRepository(image, nil)
	if err != nil {
		return "", err
	}
	return r.String(), nil
}
