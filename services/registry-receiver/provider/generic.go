package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"

	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// generic is any sender of JSON: the source's mapping says, in CEL over body
// and headers, where it names an image.
var generic = webhook.Provider{
	Name:    "generic",
	MaxBody: webhook.MiB,
	Prove: func(_ context.Context, r webhook.Request, s webhook.Source) error {
		if r.TokenFits {
			return nil
		}
		return byHeader(r, s)
	},
	Sign: webhook.SignFixed("Authorization", "Bearer "),
	Check: func(s service.Source) error {
		_, err := mappingOf(s.Mapping)
		return err
	},
	Parse: parseGeneric,
	Setup: webhook.Setup{
		Where:  "Any sender of JSON: POST to /hooks/{source}. The source's mapping has CEL expressions over body, headers (names in lower case) and, with items, item: repository; and registry, tag, digest, when as they are needed.",
		Events: "Those for which when is true; each gives an image that was pushed. items is a list in the body of which each gives one.",
		Secret: "Authorization: Bearer THE-SOURCE'S-SECRET; or a header that the source's header names; or /hooks/{source}/{secret}.",
		Tried:  webhook.Documents,
	},
}

// What an expression may cost, by CEL's own count, and how many items there
// may be: more than any list that fits into a body needs.
const (
	itemsCost = 100_000
	fieldCost = 10_000
	maxItems  = 1000
)

// mappingKeys are the keys of a mapping, with the type that each gives.
var mappingKeys = map[string]*cel.Type{
	"items": cel.ListType(cel.DynType), "when": cel.BoolType,
	"registry": cel.StringType, "repository": cel.StringType, "tag": cel.StringType, "digest": cel.StringType,
}

// mapping are the programs of a source, by key.
type mapping map[string]cel.Program

// mappings are compiled once: Check does it at the start.
var mappings sync.Map // of mapping, by its text

func mappingOf(source map[string]string) (mapping, error) {
	text, err := json.Marshal(source) // with its keys sorted
	if err != nil {
		return nil, err
	}
	if m, ok := mappings.Load(string(text)); ok {
		return m.(mapping), nil
	}
	m, err := compileMapping(source)
	if err == nil {
		mappings.Store(string(text), m)
	}
	return m, err
}

func compileMapping(source map[string]string) (mapping, error) {
	if source["repository"] == "" {
		return nil, errors.New("mapping.repository: give a CEL expression such as body.repository")
	}
	env, err := cel.NewEnv(cel.OptionalTypes(), ext.Strings(), cel.Variable("body", cel.DynType),
		cel.Variable("headers", cel.MapType(cel.StringType, cel.StringType)), cel.Variable("item", cel.DynType))
	if err != nil {
		return nil, fmt.Errorf("set up CEL: %w", err)
	}
	m := mapping{}
	for _, key := range slices.Sorted(maps.Keys(source)) {
		want, ok := mappingKeys[key]
		if !ok {
			return nil, fmt.Errorf("mapping.%s: there is no such key: use items, when, registry, repository, tag, digest", key)
		}
		ast, issues := env.Compile(source[key])
		if issues.Err() != nil {
			return nil, fmt.Errorf("mapping.%s: %w", key, issues.Err())
		}
		if got := ast.OutputType(); !mayBe(got, want) {
			return nil, fmt.Errorf("mapping.%s: it gives a %s, not a %s", key, got, want)
		}
		cost := uint64(fieldCost)
		if key == "items" {
			cost = itemsCost
		}
		program, err := env.Program(ast, cel.CostLimit(cost), cel.EvalOptions(cel.OptOptimize))
		if err != nil {
			return nil, fmt.Errorf("mapping.%s: %w", key, err)
		}
		m[key] = program
	}
	return m, nil
}

// mayBe says whether an expression can give what a key wants: what comes of
// the body is known when it comes.
func mayBe(got, want *cel.Type) bool {
	return got.IsExactType(cel.DynType) || want.IsAssignableType(got) || got.IsExactType(cel.NullType) || got.TypeName() == "optional_type"
}

func parseGeneric(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	d := webhook.Delivery{ID: r.Header.Get("Idempotency-Key"), Timeless: true}
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	m, err := mappingOf(s.Config.Mapping)
	if err != nil {
		return d, fmt.Errorf("%w: the source's %w", webhook.ErrBody, err)
	}
	body, err := anyJSON(r.Body)
	if err != nil {
		return d, err
	}
	headers := map[string]string{}
	for name, values := range r.Header {
		if name != "Authorization" && !strings.EqualFold(name, s.Config.Header) { // an expression needs no secret
			headers[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	vars := map[string]any{"body": body, "headers": headers, "item": nil}
	items := []ref.Val{types.NullValue}
	if _, ok := m["items"]; ok {
		if items, err = m.items(vars); err != nil {
			return d, err
		}
	}
	for _, item := range items {
		vars["item"] = item
		if err := m.read(vars, &d, s); err != nil {
			return d, err
		}
	}
	return d, nil
}

// anyJSON reads an object or a list.
func anyJSON(body []byte) (any, error) {
	if webhook.IsList(body) {
		var list []any
		err := webhook.JSONList(body, &list)
		return list, err
	}
	var object map[string]any
	err := webhook.JSON(body, &object)
	return object, err
}

// read takes one item.
func (m mapping) read(vars map[string]any, d *webhook.Delivery, s webhook.Source) error {
	if _, ok := m["when"]; ok {
		when, err := m.eval("when", vars)
		if err != nil {
			return err
		}
		if when != types.True {
			d.Ignore("mapping.when is not true")
			return nil
		}
	}
	i := image{provider: "generic"}
	for _, field := range []struct {
		key  string
		into *string
	}{{"registry", &i.host}, {"repository", &i.path}, {"tag", &i.tag}, {"digest", &i.digest}} {
		switch value, err := m.eval(field.key, vars); v := value.(type) {
		case types.String:
			*field.into = string(v)
		case types.Null:
		default:
			if err == nil {
				err = fmt.Errorf("%w: mapping.%s gives no string", webhook.ErrBody, field.key)
			}
			return err
		}
	}
	i.add(d, s)
	return nil
}

func (m mapping) items(vars map[string]any) ([]ref.Val, error) {
	value, err := m.eval("items", vars)
	if err != nil {
		return nil, err
	}
	list, ok := value.(traits.Lister)
	if !ok {
		return nil, fmt.Errorf("%w: mapping.items gives no list", webhook.ErrBody)
	}
	var items []ref.Val
	for i := list.Iterator(); i.HasNext() == types.True; {
		if len(items) == maxItems {
			return nil, fmt.Errorf("%w: mapping.items gives more than %d items", webhook.ErrBody, maxItems)
		}
		items = append(items, i.Next())
	}
	return items, nil
}

// eval gives the value of a key; null where there is no such key, or an
// optional value that is none.
func (m mapping) eval(key string, vars map[string]any) (ref.Val, error) {
	program, ok := m[key]
	if !ok {
		return types.NullValue, nil
	}
	value, _, err := program.Eval(vars)
	if err != nil {
		return nil, fmt.Errorf("%w: mapping.%s: %w", webhook.ErrBody, key, err)
	}
	if optional, ok := value.(*types.Optional); ok {
		if !optional.HasValue() {
			return types.NullValue, nil
		}
		return optional.GetValue(), nil
	}
	return value, nil
}
