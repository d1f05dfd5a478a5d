package render

import (
	"context"
	"fmt"
	"path"
	"strings"

	kjson "sigs.k8s.io/json"

	"github.com/slipway-cd/slipway/shared/api"
)

// buildKustomization gives what `kustomize build dir` prints.
func buildKustomization(ctx context.Context, src *source, dir, file string, fields *api.KustomizeSource) (Result, error) {
	result := Result{Kind: Kustomize}
	files := newRepository(ctx, src)
	var plain []Object
	var inputs []string
	if file == "" {
		read, err := readPlain(ctx, src, dir)
		if inputs = read.Inputs; err != nil {
			return read, err
		}
		plain = read.Objects
	}
	if fields != nil {
		var err error
		if file, err = files.add(dir, file, plain, fields); err != nil {
			result.Inputs, result.Moving = append(files.used(), inputs...), files.moving()
			return result, tell(err)
		}
	}
	j := job{Kustomization: &kustomization{Dir: dir, File: file, Anywhere: fields != nil && fields.LoadRestrictor == api.LoadRestrictionsNone, Known: files.closure(dir)}, Limits: src.limits}
	answer, err := runJob(ctx, j, files.answer)
	result.Inputs, result.Moving = append(files.used(), inputs...), files.moving()
	if files.refused != nil && ctx.Err() == nil {
		return result, tell(files.refused) // kustomize may have wrapped or swallowed it
	}
	if err != nil {
		return result, tell(childError("the kustomization", file, err))
	}
	if err := src.count(file, len(answer.Built)); err != nil {
		return result, err
	}
	for _, r := range answer.Built {
		var m map[string]any
		if err := kjson.UnmarshalCaseSensitivePreserveInts(r.JSON, &m); err != nil {
			return result, &Error{File: file, Reason: ReasonBuild, Message: "kustomize: " + err.Error(), Err: err}
		}
		id, ok := identify(m)
		if !ok || id.leftOut() {
			continue
		}
		result.Objects = append(result.Objects, Object{ID: id, Raw: r.YAML, Map: m, File: file})
	}
	files.markVaries(result.Objects)
	order(result.Objects)
	return result, nil
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

func remoteError(file string, line int, entry, help string) error {
	return &Error{
		File: file, Line: line, Reason: ReasonUnsupported,
		Message: fmt.Sprintf("%q is a remote resource; Slipway renders from the repository alone", redact(entry)),
		Help:    help,
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
