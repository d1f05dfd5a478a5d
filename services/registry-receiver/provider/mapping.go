package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// What an expression may cost, by CEL's own count, and how many items there
// may be: more than any list that fits into a body needs.
const (
	itemsCost = 100_000
	fieldCost = 10_000
	maxItems  = 1000
)

var (
	stringTypes = []*cel.Type{cel.StringType}
	idTypes     = []*cel.Type{cel.StringType, cel.IntType, cel.UintType, cel.DoubleType}
	timeTypes   = []*cel.Type{cel.StringType, cel.TimestampType, cel.IntType, cel.UintType, cel.DoubleType}
	boolTypes   = []*cel.Type{cel.BoolType}
)

// mappingKeys are the keys of a mapping, with the types that each may give.
var mappingKeys = map[string][]*cel.Type{
	"items": {cel.ListType(cel.DynType)}, "when": boolTypes, "deleted": boolTypes,
	"registry": stringTypes, "repository": stringTypes, "tag": stringTypes, "digest": stringTypes,
	"mediaType": stringTypes, "pusher": stringTypes, "pushedAt": timeTypes, "id": idTypes,
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
			return nil, fmt.Errorf("mapping.%s: there is no such key: use %s", key, strings.Join(slices.Sorted(maps.Keys(mappingKeys)), ", "))
		}
		ast, issues := env.Compile(source[key])
		if issues.Err() != nil {
			return nil, fmt.Errorf("mapping.%s: %w", key, issues.Err())
		}
		if got := ast.OutputType(); !mayBe(got, want) {
			return nil, fmt.Errorf("mapping.%s: it gives a %s, not a %s", key, got, names(want))
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
func mayBe(got *cel.Type, want []*cel.Type) bool {
	if got.TypeName() == "optional_type" {
		got = got.Parameters()[0]
	}
	return got.IsExactType(cel.DynType) || got.IsExactType(cel.NullType) ||
		slices.ContainsFunc(want, func(t *cel.Type) bool { return t.IsAssignableType(got) })
}

func names(all []*cel.Type) string {
	var out []string
	for _, t := range all {
		out = append(out, t.String())
	}
	return strings.Join(out, " or ")
}

// image reads one item; ok is false, with the reason noted, where it is of no
// interest.
func (m mapping) image(vars map[string]any, d *webhook.Delivery) (i image, ok bool, err error) {
	i.provider = "generic"
	if _, ok := m["when"]; ok {
		when, err := m.eval("when", vars)
		if err != nil {
			return i, false, err
		}
		if when != types.True {
			d.Ignore("mapping.when is not true")
			return i, false, nil
		}
	}
	for _, field := range []struct {
		key  string
		into *string
	}{
		{"registry", &i.host}, {"repository", &i.path}, {"tag", &i.tag}, {"digest", &i.digest}, {"mediaType", &i.mediaType}, {"pusher", &i.pusher},
	} {
		if *field.into, err = m.text(field.key, vars); err != nil {
			return i, false, err
		}
	}
	if i.delivery, err = m.id(vars); err != nil {
		return i, false, err
	}
	if i.time, err = m.time(vars); err != nil {
		return i, false, err
	}
	if i.deleted, err = m.deleted(vars); err != nil {
		return i, false, err
	}
	if i.deleted && i.tag == "" && webhook.Digest(i.digest) == "" {
		d.Ignore("delete of neither a tag nor a digest")
		return i, false, nil
	}
	return i, true, nil
}

func (m mapping) text(key string, vars map[string]any) (string, error) {
	switch value, err := m.eval(key, vars); v := value.(type) {
	case nil:
		return "", err
	case types.String:
		return string(v), nil
	case types.Null:
		return "", nil
	default:
		return "", fmt.Errorf("%w: mapping.%s gives no string", webhook.ErrBody, key)
	}
}

// id is the sender's id of the item: a number is as good as a string.
func (m mapping) id(vars map[string]any) (string, error) {
	switch value, err := m.eval("id", vars); v := value.(type) {
	case nil:
		return "", err
	case types.String:
		return string(v), nil
	case types.Int:
		return strconv.FormatInt(int64(v), 10), nil
	case types.Uint:
		return strconv.FormatUint(uint64(v), 10), nil
	case types.Double:
		return strconv.FormatFloat(float64(v), 'f', -1, 64), nil
	case types.Null:
		return "", nil
	default:
		return "", fmt.Errorf("%w: mapping.id gives neither a string nor a number", webhook.ErrBody)
	}
}

func (m mapping) time(vars map[string]any) (time.Time, error) {
	value, err := m.eval("pushedAt", vars)
	if err != nil {
		return time.Time{}, err
	}
	seconds := math.NaN() // of what is no number
	switch v := value.(type) {
	case types.Null:
		return time.Time{}, nil
	case types.String:
		if at := webhook.ParseTime(string(v)); !at.IsZero() {
			return at, nil
		}
	case types.Timestamp:
		return v.Time, nil
	case types.Int:
		seconds = float64(v)
	case types.Uint:
		seconds = float64(v)
	case types.Double:
		seconds = float64(v)
	}
	if at := unix(seconds); !at.IsZero() {
		return at, nil
	}
	return time.Time{}, fmt.Errorf("%w: mapping.pushedAt gives neither a time of RFC 3339 nor Unix seconds (of milliseconds: int(body.at / 1000.0))", webhook.ErrBody)
}

func (m mapping) deleted(vars map[string]any) (bool, error) {
	switch value, err := m.eval("deleted", vars); v := value.(type) {
	case nil:
		return false, err
	case types.Bool:
		return bool(v), nil
	case types.Null:
		return false, nil
	default:
		return false, fmt.Errorf("%w: mapping.deleted gives neither true nor false", webhook.ErrBody)
	}
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
