package migrate

import (
	"strings"

	"github.com/slipway-cd/slipway/shared/api"
)

// chartVerify writes who must have signed the chart of a registry. Secrets are of
// the namespace of what says so.
func chartVerify(s *source, verify value, namespace string, out tree) {
	if !verify.there() {
		return
	}
	if provider := verify.at("provider").peek(); provider != "" && provider != "cosign" {
		verify.drop(Missing, "only signatures of cosign are checked, not those of "+provider, "sign the chart with cosign, too, and name the keys in source.helm.verify")
		return
	}
	verify.at("provider").take()
	keys := verify.at("secretRef", "name")
	identities := verify.at("matchOIDCIdentity")
	if keys.there() {
		set(out, []any{keys.text()}, "source", "helm", "verify", "cosign", "keys")
		identities.drop(Different, "the keys count alone, as in Flux", "")
	} else if !chartIdentities(identities, out) {
		verify.drop(Missing, "to Flux it suffices that anybody has signed it", "name who may in source.helm.verify.cosign.keyless.identities")
		return
	}
	roots := verify.at("trustedRootSecretRef", "name")
	if roots.there() && !keys.there() {
		set(out, roots.text(), "source", "helm", "verify", "cosign", "keyless", "roots")
	}
	if (keys.there() || roots.there()) && namespace != s.namespace {
		verify.note(Missing, "a Secret of another namespace can't be named", "copy it from namespace "+namespace+" to "+s.namespace)
	}
}

// chartIdentities writes the identities of which somebody means something.
func chartIdentities(identities value, out tree) bool {
	var all []any
	for _, i := range identities.items() {
		one := api.Identity{IssuerRegExp: matchingAll(i.at("issuer").text()), SubjectRegExp: matchingAll(i.at("subject").text())}
		if err := one.Validate(); err != nil {
			i.note(Wrong, "it names nobody: "+strings.ReplaceAll(err.Error(), "\n", "; "), "name who may sign in source.helm.verify")
			continue
		}
		all = append(all, tree{"issuerRegExp": one.IssuerRegExp, "subjectRegExp": one.SubjectRegExp})
	}
	set(out, all, "source", "helm", "verify", "cosign", "keyless", "identities")
	return len(all) > 0
}

// matchingAll makes of an expression that matches somewhere in a text, as Flux's do,
// one that matches the whole of the same texts, as ours do.
func matchingAll(expression string) string {
	if expression == "" {
		return ""
	}
	if strings.Contains(expression, "|") || strings.Contains(expression, "(?") {
		return ".*(?:" + expression + ").*" // an anchor may be of one part alone
	}
	start, end := ".*", ".*"
	if rest, anchored := strings.CutPrefix(expression, "^"); anchored {
		expression, start = rest, ""
	}
	if rest, anchored := strings.CutSuffix(expression, "$"); anchored && trailing(rest)%2 == 0 {
		expression, end = rest, ""
	}
	return start + expression + end
}

// trailing counts the backslashes at the end.
func trailing(text string) int { return len(text) - len(strings.TrimRight(text, `\`)) }
