package render

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
)

// building lets one build at a time run: kustomize keeps its OpenAPI schema
// in a global variable, which every build sets.
var building sync.Mutex

// buildKustomization gives what `kustomize build dir` prints.
func buildKustomization(ctx context.Context, src *source, dir, file string) (Result, error) {
	result := Result{Kind: Kustomize}
	files := newKustomizeFS(src)
	building.Lock()
	defer building.Unlock()
	if ctx.Err() != nil {
		return result, ctx.Err()
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified // as the command does
	options.LoadRestrictions = types.LoadRestrictionsRootOnly
	options.PluginConfig = types.DisabledPluginConfig()
	built, err := krusty.MakeKustomizer(options).Run(files, files.absolute(dir))
	result.Inputs = files.used()
	if files.refused != nil {
		return result, files.refused // kustomize may have wrapped or swallowed it
	}
	if err != nil {
		return result, buildError(file, err)
	}
	resources := built.Resources()
	if err := src.count(file, len(resources)); err != nil {
		return result, err
	}
	for _, r := range resources {
		raw, err := r.AsYAML()
		if err != nil {
			return result, buildError(file, err)
		}
		m, err := document{raw: raw, line: 1}.parse(file)
		if err != nil {
			return result, err
		}
		id, ok := identify(m)
		if !ok || id.leftOut() {
			continue
		}
		result.Objects = append(result.Objects, Object{ID: id, Raw: raw, Map: m, File: file})
	}
	order(result.Objects)
	return result, nil
}

// buildError makes kustomize's error ours. A fault of ours that kustomize
// wraps stays what it was.
func buildError(file string, err error) error {
	if ours, ok := errors.AsType[*Error](err); ok {
		return ours
	}
	text := strings.ReplaceAll(err.Error(), fsRoot, "")
	return &Error{File: file, Reason: ReasonBuild, Message: "kustomize: " + text, Err: err}
}

// isRemote says whether kustomize might take an entry for an address. It errs
// on the side of refusing: a local path has neither a scheme, nor a user, nor
// a colon, nor GitHub's name at its start.
func isRemote(entry string) bool {
	first, _, _ := strings.Cut(entry, "/")
	lower := strings.ToLower(entry)
	return strings.Contains(entry, "://") || strings.ContainsAny(first, "@:") ||
		strings.HasPrefix(lower, "github.com") || strings.HasPrefix(lower, "www.github.com")
}

func remoteError(file string, line int, entry string) error {
	return &Error{
		File: file, Line: line, Reason: ReasonUnsupported,
		Message: fmt.Sprintf("%q is a remote resource; Slipway renders from the repository alone", redact(entry)),
		Help:    "copy it into the repository and name its path",
	}
}

func missingError(file string, line int, entry string) error {
	return &Error{
		File: file, Line: line, Reason: ReasonBuild,
		Message: fmt.Sprintf("%q is not in the repository", path.Clean(entry)), Help: "check the path; it is relative to the kustomization",
	}
}

// redact drops a user and password from an address.
func redact(entry string) string {
	scheme, rest, found := strings.Cut(entry, "://")
	if !found {
		return entry
	}
	authority, tail, slash := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		authority = authority[at+1:]
	}
	if slash {
		authority += "/"
	}
	return scheme + "://" + authority + tail
}
