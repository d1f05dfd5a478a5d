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
	all, err := files.build(ctx, dir, file, anywhere(fields))
	result.Inputs, result.Moving = append(files.used(), inputs...), files.moving()
	if err != nil {
		return result, err
	}
	if err := src.count(file, len(all)); err != nil {
		return result, err
	}
	for _, b := range all {
		o, ok, err := b.object(file)
		if err != nil {
			return result, err
		}
		if ok {
			result.Objects = append(result.Objects, o)
		}
	}
	files.markVaries(result.Objects)
	order(result.Objects)
	return result, nil
}

// anywhere says whether files may lie outside of a kustomization's folder.
func anywhere(fields *api.KustomizeSource) bool {
	return fields != nil && fields.LoadRestrictor == api.LoadRestrictionsNone
}

// build has a child build the kustomization of a directory.
func (r *repository) build(ctx context.Context, dir, file string, anywhere bool) ([]built, error) {
	j := job{Kustomization: &kustomization{Dir: dir, File: file, Anywhere: anywhere, Known: r.closure(dir)}, Limits: r.src.limits}
	answer, err := runJob(ctx, j, r.answer)
	if r.refused != nil && ctx.Err() == nil {
		return nil, tell(r.refused) // kustomize may have wrapped or swallowed it
	}
	if err != nil {
		return nil, tell(childError("the kustomization", file, err))
	}
	return answer.Built, nil
}

// object is what was built; ok is false for what reaches no cluster.
func (b built) object(file string) (o Object, ok bool, err error) {
	var m map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(b.JSON, &m); err != nil {
		return Object{}, false, &Error{File: file, Reason: ReasonBuild, Message: "kustomize: " + err.Error(), Err: err}
	}
	id, ok := identify(m)
	if lacks := id.lacks(); lacks != "" {
		return Object{}, false, &Error{File: file, Reason: ReasonInvalid, Message: "kustomize: " + lacks}
	}
	return Object{ID: id, Raw: b.YAML, Map: m, File: file}, ok && !id.leftOut(), nil
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
