package render

import (
	"context"
	"fmt"
	"path"
	"strings"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/slipway-cd/slipway/shared/api"
)

// buildKustomization gives what `kustomize build dir` prints.
func buildKustomization(ctx context.Context, src *source, dir, file string, fields *api.KustomizeSource) (Result, error) {
	result := Result{Kind: Kustomize}
	files := newRepository(ctx, src)
	var plain Result
	var folders []string
	if file == "" {
		var err error
		plain, folders, err = unlisted(ctx, src, dir, fields.Autodetect)
		if err != nil || len(folders) == 0 && !adds(fields) {
			return plain, err
		}
	}
	inputs := plain.Inputs
	if fields != nil {
		var err error
		if file, err = files.add(dir, file, plain.Objects, folders, fields); err != nil {
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

// unlisted reads a directory without a kustomization: its manifests, and, where they are
// to be detected, the folders below with one, which are built. A component is a part of
// what names it.
func unlisted(ctx context.Context, src *source, dir string, detect bool) (plain Result, folders []string, err error) {
	if !detect {
		plain, err = readPlain(ctx, src, dir, nil)
		return plain, nil, err
	}
	plain, err = readPlain(ctx, src, dir, func(folder string) (bool, error) {
		file, err := src.kustomization(folder)
		if file == "" || err != nil {
			return false, err
		}
		data, err := src.read(file)
		if err != nil {
			return false, err
		}
		m, err := document{raw: data, line: 1}.parse(file)
		if kind, _ := m["kind"].(string); err != nil || kind != types.ComponentKind { // kustomize says what is wrong with it
			folders = append(folders, folder)
		}
		return true, nil
	})
	return plain, folders, err
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
