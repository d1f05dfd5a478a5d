package api

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Source is where the manifests are. At most one of Branch, Tag, Semver and
// Commit is given; without any it is [DefaultBranch].
type Source struct {
	// Repository is the address from which to fetch.
	Repository string `json:"repository"`
	Branch     string `json:"branch,omitempty"`
	Tag        string `json:"tag,omitempty"`
	// Semver is a range of versions: the tag with the greatest of them is
	// taken, as [Versions.Greatest] has it.
	Semver string `json:"semver,omitempty"`
	// Commit is a whole id, in hex.
	Commit string `json:"commit,omitempty"`
	// Path is a directory within the repository.
	Path string `json:"path"`
	// Secret of the Application's namespace has credentials for the
	// repository; empty: the config's.
	Secret string `json:"secret,omitempty"`
	// Verify says who must have signed what is applied; nil: nobody.
	Verify *SourceVerify `json:"verify,omitempty"`
	// Helm says how a chart is rendered. A path with a Chart.yaml is a chart
	// without it, too.
	Helm *HelmSource `json:"helm,omitempty"`
	// Kustomize adds to the path's kustomization, or post-renders a chart. nil: nothing.
	Kustomize *KustomizeSource `json:"kustomize,omitempty"`
	// Ignore are patterns in gitignore's syntax, of files and folders of the path that
	// aren't read, as if they stood in front of its .slipwayignore. It is for plain
	// manifests: a kustomization names what it takes, a chart has its .helmignore.
	Ignore []string `json:"ignore,omitempty"`
}

// SourceVerify wants a commit, or the tag that names it, to be signed.
type SourceVerify struct {
	// Keys are Secrets of the Application's namespace, whose values are public
	// keys: any of them will do.
	Keys []string `json:"keys"`
}

// DefaultBranch is what a source without a branch, tag, range or commit means.
const DefaultBranch = "main"

// RefKind is what a source follows.
type RefKind string

// The kinds of a [Ref].
const (
	RefBranch RefKind = "branch"
	RefTag    RefKind = "tag"
	RefSemver RefKind = "semver"
	RefCommit RefKind = "commit"
)

// Ref is what of a repository is applied.
type Ref struct {
	Kind  RefKind
	Value string
}

// String is such as "branch main".
func (r Ref) String() string { return string(r.Kind) + " " + r.Value }

// Ref is what the source follows. It errs for more than one, and for what Git
// takes for no name.
func (s Source) Ref() (Ref, error) {
	var given []Ref
	for _, r := range []Ref{{RefBranch, s.Branch}, {RefTag, s.Tag}, {RefSemver, s.Semver}, {RefCommit, s.Commit}} {
		if r.Value != "" {
			given = append(given, r)
		}
	}
	switch len(given) {
	case 0:
		return Ref{RefBranch, DefaultBranch}, nil
	case 1:
		return given[0], given[0].validate()
	}
	return Ref{}, fmt.Errorf("%s and %s are both given: keep one of branch, tag, semver and commit", given[0].Kind, given[1].Kind)
}

var commitID = regexp.MustCompile(`^[0-9a-f]{40}$`)

func (r Ref) validate() error {
	switch r.Kind {
	case RefSemver:
		if _, err := ParseVersions(r.Value); err != nil {
			return fmt.Errorf("semver: %w", err)
		}
	case RefCommit:
		if !commitID.MatchString(r.Value) {
			return fmt.Errorf("commit: %q is not a whole commit id: write its 40 hex digits, in lower case", r.Value)
		}
	default:
		if strings.HasPrefix(r.Value, "refs/") {
			return fmt.Errorf("%s: %q: write the name alone, without refs/heads/ or refs/tags/", r.Kind, r.Value)
		}
		if !refName(r.Value) {
			return fmt.Errorf("%s: %q is no name that Git takes", r.Kind, r.Value)
		}
	}
	return nil
}

// refName says whether Git takes a short name of a branch or tag
// (git-check-ref-format).
func refName(s string) bool {
	bad := strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == 0x7f || strings.ContainsRune(`~^:?*[\`, c) })
	for part := range strings.SplitSeq(s, "/") {
		bad = bad || part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock")
	}
	return !bad && s != "@" && s[0] != '-' && !strings.HasSuffix(s, ".") && !strings.Contains(s, "..") && !strings.Contains(s, "@{")
}

// objectName is the name of an object in a namespace: nothing in it leads to
// another namespace.
var objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

// ObjectName says whether s may name an object of the Application's own
// namespace. A slash or colon would lead into another one.
func ObjectName(s string) bool { return len(s) <= 253 && objectName.MatchString(s) }

func (s Source) validate() error {
	var faults []error
	if _, err := s.Ref(); err != nil {
		faults = append(faults, fmt.Errorf("spec.source.%w", err))
	}
	if s.Secret != "" && !ObjectName(s.Secret) {
		faults = append(faults, fmt.Errorf("spec.source.secret: %q is not the name of a Secret of the Application's own namespace", s.Secret))
	}
	for i, pattern := range s.Ignore {
		if strings.TrimSpace(pattern) == "" || strings.ContainsAny(pattern, "\r\n") {
			faults = append(faults, fmt.Errorf("spec.source.ignore[%d]: %q is not one line with a pattern", i, pattern))
		}
	}
	if s.Verify == nil {
		return errors.Join(faults...)
	}
	if len(s.Verify.Keys) == 0 {
		faults = append(faults, errors.New("spec.source.verify.keys is empty: name a Secret with public keys, or take verify out"))
	}
	for i, k := range s.Verify.Keys {
		if !ObjectName(k) {
			faults = append(faults, fmt.Errorf("spec.source.verify.keys[%d]: %q is not the name of a Secret of the Application's own namespace", i, k))
		}
	}
	return errors.Join(faults...)
}

// Versions is a range of versions.
type Versions struct {
	text        string
	constraints *semver.Constraints
	named       []string // releases of which the range names a pre-release
}

// namesPrerelease is a version with a pre-release, as a range may have it.
var namesPrerelease = regexp.MustCompile(`([0-9]+\.[0-9]+\.[0-9]+)-[0-9A-Za-z]`)

// ParseVersions reads a range such as ">=1.4 <2", "1.x" or "~1.2". A
// pre-release is in it only where the range names one, as in ">=1.0.0-0", and
// where its release is in it, too, unless the range names one of that: to
// SemVer 2.0.0-rc.1 is below 2.0.0, but nobody who writes <2 means it.
func ParseVersions(text string) (Versions, error) {
	c, err := semver.NewConstraint(text)
	if err == nil && strings.TrimSpace(text) == "" {
		err = errors.New(`it is empty; "*" takes every version`)
	}
	if err != nil {
		return Versions{}, fmt.Errorf("range %q: %w", text, err)
	}
	v := Versions{text: text, constraints: c}
	for _, m := range namesPrerelease.FindAllStringSubmatch(text, -1) {
		v.named = append(v.named, m[1])
	}
	return v, nil
}

// String is the range as it is written.
func (v Versions) String() string { return v.text }

// tagVersion is what of Git's tags are versions: two or three numbers, since
// one alone is more often a date or a build.
var tagVersion = regexp.MustCompile(`^v?((?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*))(\.(?:0|[1-9][0-9]*))?([-+].*)?$`)

func versionOf(tag string) *semver.Version {
	m := tagVersion.FindStringSubmatch(tag)
	if m == nil {
		return nil
	}
	v, err := semver.StrictNewVersion(m[1] + cmp.Or(m[2], ".0") + m[3])
	if err != nil {
		return nil
	}
	return v
}

// Has says whether a tag is a version in the range.
func (v Versions) Has(tag string) bool {
	version := versionOf(tag)
	if version == nil || v.constraints == nil || !v.constraints.Check(version) {
		return false
	}
	release := semver.New(version.Major(), version.Minor(), version.Patch(), "", "")
	return version.Prerelease() == "" || v.constraints.Check(release) || slices.Contains(v.named, release.String())
}

// Greatest is the tag with the greatest version in the range, with or without
// a v before it; of equal ones that without, then the first by bytes. Empty:
// there is none.
func (v Versions) Greatest(tags []string) string {
	best := ""
	var greatest *semver.Version
	for _, tag := range slices.Sorted(slices.Values(tags)) { // digits before v
		if !v.Has(tag) {
			continue
		}
		if version := versionOf(tag); greatest == nil || version.GreaterThan(greatest) {
			best, greatest = tag, version
		}
	}
	return best
}
