package migrate

import (
	"slices"
	"strings"
)

// syncOptions are Argo CD's sync options, and what they are in ours; empty for what
// is always so.
var syncOptions = map[string]struct {
	kind     NoteKind
	what, do string
}{
	"CreateNamespace=false":             {},
	"Prune=true":                        {},
	"Validate=true":                     {},
	"Replace=false":                     {},
	"Force=false":                       {},
	"ApplyOutOfSyncOnly=false":          {},
	"PruneLast=false":                   {Different, "what is pruned goes when all that stays is healthy", ""},
	"RespectIgnoreDifferences=false":    {Different, "fields that are left to others are left by each apply", ""},
	"SkipDryRunOnMissingResource=false": {},
	"FailOnSharedResource=false":        {Different, "an object of two Applications stays with the one that has it", ""},
	"ClientSideApplyMigration=true":     {Different, "what kubectl once applied is taken over where that is told", "set sync.adopt: [kubectl-client-side-apply], if it is so"},
	"ClientSideApplyMigration=false":    {},
	"Validate=false":                    {Missing, "the API server always validates", "mend what it complains of"},
	"ServerSideApply=true":              {},
	"ServerSideApply=false":             {Different, "it is always applied by the server", ""},
	"ApplyOutOfSyncOnly=true":           {},
	"PruneLast=true":                    {},
	"RespectIgnoreDifferences=true":     {},
	"FailOnSharedResource=true":         {},
	"SkipDryRunOnMissingResource=true":  {},
	"PrunePropagationPolicy=background": {},
	"PrunePropagationPolicy=foreground": {Different, "what is pruned is deleted in the background", ""},
	"PrunePropagationPolicy=orphan":     {Missing, "what is pruned is deleted with what it owns", "annotate what must stay with slipway.dev/prune: disabled"},
}

func (a *argo) syncPolicy(s *source, out, doc tree) {
	policy := s.at("spec", "syncPolicy")
	automated := policy.at("automated")
	if len(automated.keys()) == 0 {
		automated.take()
	}
	if !automated.there() || !automated.at("enabled").is(true) {
		policy.note(Different, "it is synced by hand", "it is written suspended: `slipway resume` has it synced by itself")
		suspend(doc, "it was synced by hand in Argo CD")
	}
	if automated.there() && !automated.at("selfHeal").is(false) {
		set(out, false, "sync", "selfHeal")
	}
	if !automated.at("prune").is(false) {
		set(out, false, "sync", "prune")
	}
	automated.flag("allowEmpty", out, "sync", "allowEmpty")
	for _, v := range policy.at("syncOptions").items() {
		option := v.text()
		switch option {
		case "Replace=true", "Force=true":
			set(out, "enabled", "annotations", "slipway.dev/force")
		case createNamespace:
			a.namespace(s, v)
		case "Prune=false":
			set(out, false, "sync", "prune")
		default:
			tellOption(v, option)
		}
	}
	if !slices.Contains(s.at("metadata", "finalizers").list(), argoFinalizer) {
		set(out, "orphan", "onDelete")
	}
}

// tellOption tells what an option comes to, unless it is always so.
func tellOption(at value, option string) {
	known, ok := syncOptions[option]
	switch {
	case !ok:
		at.note(Missing, "has no counterpart", "this command doesn't know it: look up what it does, and whether you need it")
	case known.what != "":
		at.note(known.kind, known.what, known.do)
	}
}

// optionsOf are the options of a single object, an Application among others.
const optionsOf = "argocd.argoproj.io/sync-options"

// options are those of an Application's own that our synchronizer reads, too: that it
// isn't deleted, when Git has it no more or when what made it goes.
func (a *argo) options(s *source, all string) string {
	var kept []string
	at := s.annotationsAt.at(optionsOf)
	for option := range strings.SplitSeq(all, ",") {
		option = strings.TrimSpace(option)
		name, value, _ := strings.Cut(option, "=")
		switch {
		case (name == "Prune" || name == "Delete") && (value == "false" || value == "confirm"):
			kept = append(kept, option)
		case option == "Replace=true", option == "Force=true", option == "Delete=true", option == "":
		default:
			tellOption(at, option)
		}
	}
	return strings.Join(kept, ",")
}

const createNamespace = "CreateNamespace=true"

// namespace writes the Namespace that Argo CD makes by itself.
func (a *argo) namespace(s *source, option value) {
	name := s.at("spec", "destination", "namespace").text()
	managed := s.at("spec", "syncPolicy", "managedNamespaceMetadata")
	metadata := tree{}
	for _, field := range []string{"labels", "annotations"} {
		for k, v := range managed.at(field).texts() {
			set(metadata, v, field, k)
		}
	}
	if a.elsewhere(s) {
		option.note(Missing, "namespaces are not made by themselves", "put the Namespace into Git, for that cluster")
		return
	}
	if file, written := a.w.bring(a.FS, name, s.file, metadata); written {
		option.note(Different, "namespaces are not made by themselves", "Namespace "+name+" is written to "+file+", and stays when its Application goes")
	} else if file != "" && len(metadata) > 0 {
		option.note(Different, "namespaces are not made by themselves", "Namespace "+name+" is in "+file+": see that it has these labels and annotations")
	}
}

// differences are the fields that others may set.
func (a *argo) differences(s *source, out tree) {
	var all []any
	for _, rule := range s.at("spec", "ignoreDifferences").items() {
		before := all
		rule.at("namespace").drop(Different, "a rule is for objects of every namespace", "")
		for _, q := range rule.at("jqPathExpressions").items() {
			path, ok := pointer(q.text())
			path = eachOf(path)
			why := notAPointer(path)
			if !ok {
				why = "it does more than to name fields"
			}
			if why != "" {
				q.note(Missing, why, "look at what `slipway diff` shows, and name a field")
				continue
			}
			all = append(all, ruleFor(rule, "paths", []any{path}))
		}
		if managers := rule.at("managedFieldsManagers").list(); len(managers) > 0 {
			all = append(all, ruleFor(rule, "managers", anyList(managers)))
		}
		if rule.at("kind").text() == "*" {
			all = before // which is told
		}
		all = append(all, ignored(rule, rule, rule.at("jsonPointers"))...)
	}
	set(out, all, "ignore")
}
