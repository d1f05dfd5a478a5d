package bases

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
)

// Address is how a kustomization names something beyond its repository, read as
// kustomize reads it:
// https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/resource
type Address struct {
	// Clone is the repository's address; empty where it can only be a file.
	Clone string
	// Dir is a folder of the repository, clean; "." for its root.
	Dir string
	// Revision is a tag, branch or commit; "HEAD" where none is named.
	Revision string
	// File is the http or https address of a file; empty where it can only be a
	// repository.
	File string
	// likely says that it is a repository, if there is one.
	likely bool
}

// head is the default branch.
const head = "HEAD"

var (
	userAt = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*@`)
	commit = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// Parse reads an address. Its error tells no credentials.
func Parse(text string) (Address, error) {
	bad := func(why string) (Address, error) {
		return Address{}, fmt.Errorf("%w: %s", ErrBad, why)
	}
	if rest, forced := cutPrefixFold(text, "git::"); forced {
		text = rest
	}
	if len(text) > maxAddress || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return bad("it is no address")
	}
	whole, query, _ := strings.Cut(text, "?")
	scheme, rest, found := strings.Cut(whole, "://")
	if scheme = strings.ToLower(scheme); !found {
		scheme, rest = "", whole
	}
	var a Address
	switch {
	case scheme == "https" || scheme == "http":
		if u, err := url.Parse(text); err != nil || u.Host == "" {
			return bad("it is no address")
		} else if _, secret := u.User.Password(); secret || u.User != nil && u.User.Username() != "git" {
			return bad("credentials belong in the config, not in the address")
		}
		a.File = scheme + "://" + strings.TrimPrefix(text[len(scheme)+len("://"):], "git@")
		rest = strings.TrimPrefix(rest, "git@")
	case scheme == "ssh":
	case scheme != "":
		return bad("its scheme is none of https, http and ssh")
	case isGitHub(rest):
		scheme, rest = "https", gitHub+rest[len(gitHub):]
	case !userAt.MatchString(rest):
		return bad("it has no scheme")
	default:
		user, at, _ := strings.Cut(rest, "@")
		if isGitHub(at) {
			rest = user + "@github.com:" + at[len(gitHub):] // also where it has a slash there
		}
	}
	if err := a.repository(scheme, rest); err != nil && a.File == "" {
		return Address{}, err
	}
	a.revision(query)
	return a, nil
}

// maxAddress bounds an address.
const maxAddress = 2048

const gitHub = "github.com/"

func isGitHub(s string) bool {
	for _, host := range []string{gitHub, "github.com:"} {
		if _, is := cutPrefixFold(s, host); is {
			return true
		}
	}
	return false
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

// repository splits what follows the scheme into repository and folder.
func (a *Address) repository(scheme, rest string) error {
	host, where, found := strings.Cut(rest, "/")
	separator := "/"
	if at := strings.IndexByte(host, ':'); scheme == "" && at > 0 { // user@host:path
		host, where, separator, found = rest[:at], rest[at+1:], ":", true
	}
	repository, dir, marked := split(where)
	if !found || host == "" || strings.Trim(repository, "/") == "" {
		return fmt.Errorf("%w: it names no repository", ErrBad)
	}
	if dir = path.Clean("/" + dir)[1:]; dir == "" {
		dir = "."
	}
	if slices.Contains(strings.Split(where, "/"), "..") {
		return fmt.Errorf("%w: its folder leaves the repository", ErrBad)
	}
	clone := host + separator + repository
	if scheme != "" {
		clone = scheme + "://" + clone
	}
	if _, err := events.ParseGitRepository(clone, nil); err != nil {
		return fmt.Errorf("%w: %w", ErrBad, err)
	}
	a.Clone, a.Dir, a.likely = clone, dir, marked || a.File == "" || strings.EqualFold(host, "github.com") && !servesFiles.MatchString(where)
	return nil
}

// servesFiles is below which paths GitHub has files.
var servesFiles = regexp.MustCompile(`^[^/]+/[^/]+/(releases|raw|archive|files)/`)

// split finds the end of a repository's path: by the marks that are agreed on, else
// after owner and name.
func split(where string) (repository, dir string, marked bool) {
	if before, after, found := strings.Cut(where, "_git/"); found { // Azure DevOps
		name, dir, _ := strings.Cut(after, "/")
		return before + "_git/" + name, dir, true
	}
	if before, after, found := strings.Cut(where, "//"); found {
		return before, after, true
	}
	if before, after, found := strings.Cut(where, ".git"); found {
		return before + ".git", after, true
	}
	parts := strings.SplitN(where, "/", 3)
	if len(parts) < 2 {
		return "", "", false
	}
	return parts[0] + "/" + parts[1], strings.Join(parts[2:], "/"), false
}

func (a *Address) revision(query string) {
	values, _ := url.ParseQuery(query) // what can't be read names no revision
	a.Revision = head
	for _, name := range []string{"version", "ref"} {
		if v := values.Get(name); v != "" {
			a.Revision = v
		}
	}
}

// Exact says that a repository at this revision never changes.
func (a Address) Exact() bool { return commit.MatchString(a.Revision) }

// RepositoryFirst says that it is more likely a repository than a file.
func (a Address) RepositoryFirst() bool { return a.likely }

// Places are what patterns are asked of: the repository's name, and the file's
// address without its scheme. One is empty where it can't be such.
func (a Address) Places() (repository, file string) {
	if a.Clone != "" {
		if name, err := events.ParseGitRepository(a.Clone, nil); err == nil {
			repository = string(name)
		}
	}
	if u, err := url.Parse(a.File); err == nil && a.File != "" {
		file = strings.ToLower(u.Host) + path.Clean("/"+u.Path)
	}
	return repository, file
}

// String is the address without what may be secret.
func (a Address) String() string {
	if a.Clone == "" || !a.likely && a.File != "" {
		file, _, _ := strings.Cut(a.File, "?")
		return file
	}
	s := a.Clone
	if a.Dir != "." {
		s += "//" + a.Dir
	}
	if a.Revision != head {
		s += "?ref=" + a.Revision
	}
	return s
}
