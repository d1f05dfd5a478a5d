// Package rule says how an object of a custom kind is, by expressions in CEL:
// those of an Application's spec.health, and our own for well-known kinds,
// which are the table in rules/.
package rule

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/shared/api"
)

// What an expression may cost, by CEL's own count, and how long it may take,
// since the count knows little of comparisons of large values. A rule that
// reads a list of a thousand is far below both.
const (
	ruleCost = 100_000
	ruleTime = 100 * time.Millisecond
	// checkEvery is after how many steps of a loop the time is looked at.
	checkEvery = 100
)

// errSlow says that an expression was stopped, or not begun. It may be the
// machine that is slow.
var errSlow = errors.New("it takes too long")

// maxMessage is how much of a rule's message is told, in bytes.
const maxMessage = 512

// Rule is a compiled rule.
type Rule struct {
	source                         api.HealthRule
	when, healthy, failed, message cel.Program // healthy alone is always there
}

// Rules are those of one Application.
type Rules map[schema.GroupKind]*Rule

// For gives the rule of a kind; nil when there is none.
func (r Rules) For(kind schema.GroupVersionKind) *Rule { return r[kind.GroupKind()] }

// Compile makes an Application's rules. The error names each field that is
// wrong.
func Compile(sources []api.HealthRule) (Rules, error) {
	rules := make(Rules, len(sources))
	var faults []error
	for i, source := range sources {
		at := fmt.Sprintf("spec.health[%d]", i)
		if !Custom(source.Group) {
			faults = append(faults, fmt.Errorf("%s: %s of group %q is a kind of Kubernetes or Slipway, whose health is known: rules are for custom kinds", at, source.Kind, source.Group))
			continue
		}
		rule, err := compile(at, source, "")
		if err != nil {
			faults = append(faults, err)
			continue
		}
		rules[schema.GroupKind{Group: source.Group, Kind: source.Kind}] = rule
	}
	return rules, errors.Join(faults...)
}

// environment is what all expressions see.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.OptionalTypes(), ext.Strings(), cel.CrossTypeNumericComparisons(true), conditionFunction(),
		cel.Variable("object", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("metadata", cel.DynType), cel.Variable("spec", cel.DynType), cel.Variable("status", cel.DynType))
})

var checking sync.Mutex

// check parses and checks an expression, one at a time: the environment that all
// share is written to where a name is unknown (cel-go 0.33.2, checker.Env.Catalog).
func check(env *cel.Env, text string) (*cel.Ast, *cel.Issues) {
	checking.Lock()
	defer checking.Unlock()
	return env.Compile(text)
}

func compile(at string, source api.HealthRule, when string) (*Rule, error) {
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("set up CEL: %w", err)
	}
	r := &Rule{source: source}
	var faults []error
	for _, part := range []struct {
		name, text string
		want       *cel.Type
		into       *cel.Program
	}{
		{"when", when, cel.BoolType, &r.when},
		{"healthy", source.Healthy, cel.BoolType, &r.healthy},
		{"failed", source.Failed, cel.BoolType, &r.failed},
		{"message", source.Message, cel.StringType, &r.message},
	} {
		if part.text == "" && part.name != "healthy" {
			continue
		}
		ast, issues := check(env, part.text)
		if issues.Err() != nil {
			faults = append(faults, fmt.Errorf("%s.%s: %w", at, part.name, issues.Err()))
			continue
		}
		if got := ast.OutputType(); !got.IsExactType(cel.DynType) && !got.IsExactType(part.want) {
			faults = append(faults, fmt.Errorf("%s.%s: it gives %s, not %s", at, part.name, got, part.want))
			continue
		}
		*part.into, err = env.Program(ast, cel.CostLimit(ruleCost), costs(), cel.InterruptCheckFrequency(checkEvery), cel.EvalOptions(cel.OptOptimize))
		if err != nil {
			faults = append(faults, fmt.Errorf("%s.%s: %w", at, part.name, err))
		}
	}
	return r, errors.Join(faults...)
}

// scope are the variables of an object. A part that isn't there (yet) is
// empty, so that has(status.ready) is false and no error.
func scope(object map[string]any) map[string]any {
	vars := map[string]any{"object": object}
	for _, part := range []string{"metadata", "spec", "status"} {
		vars[part] = object[part]
		if vars[part] == nil {
			vars[part] = map[string]any{}
		}
	}
	return vars
}

// Judge says how an object is, and why it isn't healthy. What an expression
// can't say, because a field isn't there, is not so yet. What is being deleted,
// or not yet seen by its controller as it is, isn't ready whatever the rule
// says. Without a deadline only the cost is limited; else no expression takes
// long, or begins after it, and Unknown says that asking again may help.
func (r *Rule) Judge(object map[string]any, deadline time.Time) (status.Status, string) {
	if at(object, "metadata", "deletionTimestamp") != nil {
		return status.TerminatingStatus, "it is being deleted"
	}
	if message, ok := observed(object); !ok {
		return status.InProgressStatus, message
	}
	ctx, vars := context.Background(), scope(object)
	if !deadline.IsZero() {
		var cancel func()
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	failed, failedErr := truth(ctx, r.failed, vars)
	if failed {
		return status.FailedStatus, r.why(ctx, vars, "its rule says that it failed: "+r.source.Failed)
	}
	healthy, err := truth(ctx, r.healthy, vars)
	switch {
	case healthy:
		return status.CurrentStatus, ""
	case errors.Is(err, errSlow), errors.Is(failedErr, errSlow):
		return status.UnknownStatus, "its rule can't say: " + errSlow.Error()
	case err != nil:
		return status.InProgressStatus, shorten("its rule for healthy can't say yet: " + err.Error())
	case failedErr != nil:
		return status.InProgressStatus, r.why(ctx, vars, shorten("its rule for failed can't say yet: "+failedErr.Error()))
	}
	if state, _ := vars["status"].(map[string]any); r.message != nil && len(state) == 0 {
		return status.InProgressStatus, r.why(ctx, vars, "its controller has not written a status yet")
	}
	return status.InProgressStatus, r.why(ctx, vars, "not yet so: "+r.source.Healthy)
}

// matches says whether the rule concerns an object of its kind.
func (r *Rule) matches(object map[string]any) bool {
	if r.when == nil {
		return true
	}
	yes, err := truth(context.Background(), r.when, scope(object))
	return err == nil && yes
}

// why is the rule's message, or else another one.
func (r *Rule) why(ctx context.Context, vars map[string]any, otherwise string) string {
	if r.message != nil {
		if value, err := evaluate(ctx, r.message, vars); err == nil {
			if text, ok := value.(types.String); ok && strings.TrimSpace(string(text)) != "" {
				return shorten(strings.TrimSpace(string(text)))
			}
		}
	}
	return shorten(otherwise)
}

func truth(ctx context.Context, program cel.Program, vars map[string]any) (bool, error) {
	if program == nil {
		return false, nil
	}
	value, err := evaluate(ctx, program, vars)
	if err != nil {
		return false, err
	}
	yes, ok := value.(types.Bool)
	if !ok {
		return false, fmt.Errorf("it gives %s, not bool", value.Type().TypeName())
	}
	return bool(yes), nil
}

func evaluate(ctx context.Context, program cel.Program, vars map[string]any) (ref.Val, error) {
	if _, limited := ctx.Deadline(); limited {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, ruleTime)
		defer cancel()
	}
	if ctx.Err() != nil { // an expression without a loop would not look
		return nil, errSlow
	}
	value, _, err := program.ContextEval(ctx, vars)
	if err != nil && ctx.Err() != nil {
		return nil, errSlow
	}
	return value, err
}

// shorten keeps a message to what is told.
func shorten(text string) string {
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}

// observed says whether the controller has seen the object as it is. Some
// write the generation that they saw as a string.
func observed(object map[string]any) (message string, ok bool) {
	generation, known := Number(at(object, "metadata", "generation"))
	seen, tells := Number(at(object, "status", "observedGeneration"))
	if known && tells && seen < generation {
		return fmt.Sprintf("its controller has seen generation %d, and it is at %d", seen, generation), false
	}
	return "", true
}

// at is a field within maps; nil when it isn't there.
func at(object any, path ...string) any {
	for _, key := range path {
		m, _ := object.(map[string]any)
		object = m[key]
	}
	return object
}

// Number is a whole number, as some write one as text.
func Number(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case float64:
		return int64(n), true
	case string:
		parsed, err := strconv.ParseInt(n, 10, 64)
		return parsed, err == nil
	}
	return 0, false
}
