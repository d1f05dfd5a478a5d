package rule

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// conditionFunction adds to CEL
//
//	object.condition(type)        a condition of object.status.conditions
//	object.condition(type, list)  a condition of another list
//
// which give type, status, reason and message as strings, whatever is there:
// a condition that isn't there, or is of an earlier generation than the
// object (as it may say by its own observedGeneration), is "Unknown". One
// without a message is told by its status and reason.
func conditionFunction() cel.EnvOption {
	object, found := cel.MapType(cel.StringType, cel.DynType), cel.MapType(cel.StringType, cel.StringType)
	return cel.Function("condition",
		cel.MemberOverload("object_condition", []*cel.Type{object, cel.StringType}, found, cel.BinaryBinding(
			func(o, name ref.Val) ref.Val { return condition(o, name, entry(entry(o, "status"), "conditions")) })),
		cel.MemberOverload("object_condition_list", []*cel.Type{object, cel.StringType, cel.DynType}, found, cel.FunctionBinding(
			func(args ...ref.Val) ref.Val { return condition(args[0], args[1], args[2]) })))
}

// costs counts the conditions that are looked through, and the text that is
// formatted, of which CEL's own count knows nothing.
func costs() cel.ProgramOption {
	count := func(list ref.Val) *uint64 {
		cost := uint64(1)
		if items, ok := list.(traits.Lister); ok {
			if n, ok := items.Size().(types.Int); ok {
				cost += uint64(n)
			}
		}
		return &cost
	}
	return cel.CostTrackerOptions(
		cost.OverloadTracker("object_condition", func(args []ref.Val, _ ref.Val) *uint64 {
			return count(entry(entry(args[0], "status"), "conditions"))
		}),
		cost.OverloadTracker("object_condition_list", func(args []ref.Val, _ ref.Val) *uint64 { return count(args[2]) }),
		cost.OverloadTracker("string_format", func(_ []ref.Val, result ref.Val) *uint64 {
			size := uint64(len(text(result)))/10 + 1
			return &size
		}))
}

func condition(object, name, list ref.Val) ref.Val {
	answer := map[string]string{"type": text(name), "status": "Unknown", "reason": "", "message": fmt.Sprintf("condition %s is not there yet", text(name))}
	generation, known := integer(entry(entry(object, "metadata"), "generation"))
	items, ok := list.(traits.Lister)
	if !ok {
		return types.DefaultTypeAdapter.NativeToValue(answer)
	}
	for it := items.Iterator(); it.HasNext() == types.True; {
		item := it.Next()
		if text(entry(item, "type")) != answer["type"] {
			continue
		}
		if seen, tells := integer(entry(item, "observedGeneration")); known && tells && seen < generation {
			answer["message"] = fmt.Sprintf("condition %s is of generation %d, and it is at %d", answer["type"], seen, generation)
			break
		}
		for _, field := range []string{"status", "reason", "message"} {
			answer[field] = text(entry(item, field))
		}
		if answer["message"] == "" && answer["status"] != "True" {
			answer["message"] = strings.TrimSuffix(fmt.Sprintf("condition %s is %s: %s", answer["type"], answer["status"], answer["reason"]), ": ")
		}
		break
	}
	return types.DefaultTypeAdapter.NativeToValue(answer)
}

// entry is a field of a map; nil when it isn't there.
func entry(v ref.Val, key string) ref.Val {
	m, ok := v.(traits.Mapper)
	if !ok {
		return nil
	}
	found, ok := m.Find(types.String(key))
	if !ok {
		return nil
	}
	return found
}

// text is a string, or a status that somebody wrote as a boolean.
func text(v ref.Val) string {
	switch s := v.(type) {
	case types.String:
		return string(s)
	case types.Bool:
		return map[types.Bool]string{true: "True", false: "False"}[s]
	}
	return ""
}

func integer(v ref.Val) (int64, bool) {
	switch n := v.(type) {
	case types.Int:
		return int64(n), true
	case types.Double:
		return int64(n), true
	case types.String:
		return Number(string(n))
	}
	return 0, false
}
