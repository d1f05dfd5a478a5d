package api_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

func TestSubstitute(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: web, namespace: shop}\nspec:\n  source: {repository: https://h/a/b, branch: main, path: app}\n  substitute:\n"
	for name, tt := range map[string]struct{ text, fault string }{
		"all of it":              {`    {vars: {REGION: eu, _a1: ""}, from: [{configMap: cluster-vars, optional: false}, {secret: a.b, optional: true}]}`, ""},
		"nothing of it":          {`    {}`, ""},
		"a number":               {"    vars:\n      PORT: 8080", `a.yaml:8: spec.substitute.vars.PORT: "8080" must be a string (put it in quotes)`},
		"a boolean":              {`    {vars: {DEBUG: true}}`, `a.yaml:7: spec.substitute.vars.DEBUG: "true" must be a string (put it in quotes)`},
		"nothing":                {"    vars:\n      A: x\n      EMPTY:", `a.yaml:9: spec.substitute.vars.EMPTY: is null: write "" for an empty text`},
		"null":                   {`    {vars: {EMPTY: null}}`, `spec.substitute.vars.EMPTY: is null`},
		"a list":                 {`    {vars: {DEBUG: [a]}}`, `must be a single value`},
		"a name":                 {`    {vars: {"a-b": x}}`, `spec.substitute.vars: "a-b" is not a variable's name`},
		"a name with a digit":    {`    {vars: {1a: x}}`, `spec.substitute.vars: "1a" is not a variable's name`},
		"an unknown field":       {`    {vras: {a: x}}`, `a.yaml:7: spec.substitute.vras: unknown field`},
		"an unknown source":      {`    {from: [{kind: ConfigMap}]}`, `spec.substitute.from[0].kind: unknown field`},
		"both":                   {`    {from: [{configMap: a, secret: b}]}`, `spec.substitute.from[0] names neither or both`},
		"neither":                {`    {from: [{configMap: a}, {optional: true}]}`, `spec.substitute.from[1] names neither or both`},
		"another namespace":      {`    {from: [{secret: other/keys}]}`, `"other/keys" is not the name of a ConfigMap or Secret`},
		"optional is no boolean": {`    {from: [{secret: a, optional: "no"}]}`, `must be true or false`},
	} {
		docs, err := api.Decode("a.yaml", []byte(head+tt.text+"\n"))
		switch {
		case tt.fault == "" && (err != nil || len(docs) != 1 || docs[0].Object.(*api.Application).Spec.Substitute == nil):
			t.Errorf("%s: %v", name, err)
		case tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)):
			t.Errorf("%s: got %v, want %s", name, err, tt.fault)
		}
	}
}
