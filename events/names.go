package events

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// ErrName says that a name is not in its grammar.
var ErrName = errors.New("invalid name")

// Aliases maps other hosts of a registry or Git host to its public name:
// "localhost:5000" to "registry:5000", a mirror to its origin.
type Aliases map[string]string

func (a Aliases) of(host string) string {
	if public, ok := a[host]; ok {
		return public
	}
	return host
}

// Application names an application: cluster/namespace/name.
type Application struct {
	Cluster, Namespace, Name string
}

var applicationPart = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// ParseApplication reads "cluster/namespace/name"; each part is a DNS name
// as Kubernetes demands it.
func ParseApplication(s string) (Application, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return Application{}, fmt.Errorf("%w: application %q is not cluster/namespace/name", ErrName, s)
	}
	for _, p := range parts {
		if len(p) > 253 || !applicationPart.MatchString(p) {
			return Application{}, fmt.Errorf("%w: application %q: %q is not a DNS name in lower case", ErrName, s, p)
		}
	}
	return Application{Cluster: parts[0], Namespace: parts[1], Name: parts[2]}, nil
}

func (a Application) String() string { return a.Cluster + "/" + a.Namespace + "/" + a.Name }

// ImageRepository names an image repository: Host is host[:port], Path the
// path as in OCI.
type ImageRepository struct {
	Host, Path string
}

func (r ImageRepository) String() string { return r.Host + "/" + r.Path }

// The grammar of OCI's distribution specification, "Pulling manifests", and
// of distribution/reference for hosts.
var (
	imagePath = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	imageTag  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	digestRE  = regexp.MustCompile(`^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`)
	hostRE    = regexp.MustCompile(`^(?:[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*|\[[0-9a-f:]+\])(?::[0-9]{1,5})?$`)
)

// dockerHub is the host that short names stand for.
const dockerHub = "docker.io"

// ParseImageRepository reads "[host[:port]/]path" without tag and digest.
// Docker Hub's short names are written out, its index.docker.io is docker.io,
// the host is lowered, and aliases are resolved.
func ParseImageRepository(s string, aliases Aliases) (ImageRepository, error) {
	host, path, found := strings.Cut(s, "/")
	if !found || !hostLike(host) {
		host, path = dockerHub, s
	}
	return NewImageRepository(host, path, aliases)
}

// hostLike says whether the first part of a reference is a host and not a
// name on Docker Hub, as every tool around images tells them apart.
func hostLike(s string) bool {
	return strings.ContainsAny(s, ".:[") || strings.EqualFold(s, "localhost")
}

func validHost(s string) bool {
	if address, ok := strings.CutPrefix(s, "["); ok {
		address, _, _ = strings.Cut(address, "]")
		if _, err := netip.ParseAddr(address); err != nil {
			return false
		}
	}
	return hostRE.MatchString(s)
}

// NewImageRepository is the repository of a host that is known to be one. It
// errs where no reference could name it: a host needs a dot or a port.
func NewImageRepository(host, path string, aliases Aliases) (ImageRepository, error) {
	s := host + "/" + path
	host = strings.ToLower(host)
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		host = dockerHub
	}
	host = aliases.of(host)
	if host == dockerHub && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	if !validHost(host) || !hostLike(host) {
		return ImageRepository{}, fmt.Errorf("%w: image repository %q: %q is not a host with a dot or a port", ErrName, s, host)
	}
	if len(host)+1+len(path) > 255 || !imagePath.MatchString(path) {
		return ImageRepository{}, fmt.Errorf("%w: image repository %q: %q is not a path of lower-case OCI components", ErrName, s, path)
	}
	return ImageRepository{Host: host, Path: path}, nil
}

// Image is a reference: a repository with a tag, a digest, both, or neither.
type Image struct {
	Repository  ImageRepository
	Tag, Digest string
}

// ParseImage reads "repository[:tag][@digest]".
func ParseImage(s string, aliases Aliases) (Image, error) {
	rest, digest, hasDigest := strings.Cut(s, "@")
	if hasDigest && !ValidDigest(digest) {
		return Image{}, fmt.Errorf("%w: image %q: %q is not a digest", ErrName, s, digest)
	}
	tag := ""
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		rest, tag = rest[:i], rest[i+1:]
		if !ValidTag(tag) {
			return Image{}, fmt.Errorf("%w: image %q: %q is not a tag", ErrName, s, tag)
		}
	}
	repo, err := ParseImageRepository(rest, aliases)
	if err != nil {
		return Image{}, err
	}
	return Image{Repository: repo, Tag: tag, Digest: digest}, nil
}

// Reference is the part behind the repository: "tag", "tag@digest",
// "digest" or nothing.
func (i Image) Reference() string {
	switch {
	case i.Digest == "":
		return i.Tag
	case i.Tag == "":
		return i.Digest
	default:
		return i.Tag + "@" + i.Digest
	}
}

func (i Image) String() string {
	s := i.Repository.String()
	if i.Tag != "" {
		s += ":" + i.Tag
	}
	if i.Digest != "" {
		s += "@" + i.Digest
	}
	return s
}

// ValidTag says whether s is in OCI's grammar of tags.
func ValidTag(s string) bool { return imageTag.MatchString(s) }

// ValidDigest says whether s is a whole sha256 or sha512 digest.
func ValidDigest(s string) bool { return digestRE.MatchString(s) }

// GitRepository names a Git repository: host[:port]/path.
type GitRepository string

// URL is "https://" and the name: a name for events, not an address to call.
func (r GitRepository) URL() string { return "https://" + string(r) }

var (
	scpLike  = regexp.MustCompile(`^([^/@]+@)?([^/:@]+):([^/:].*)$`)
	gitPorts = map[string]string{"http": "80", "https": "443", "ssh": "22", "git": "9418"}
)

// ParseGitRepository reads a clone address (https, http, ssh, git, or the
// scp-like user@host:path) or a name, and gives the name: lower-case host, no
// scheme, user, ".git" or slash at the end; the port is dropped when it is
// the scheme's own.
func ParseGitRepository(s string, aliases Aliases) (GitRepository, error) {
	bad := func(why string) (GitRepository, error) {
		return "", fmt.Errorf("%w: Git repository %q: %s", ErrName, redactUser(s), why)
	}
	raw, named := s, false
	if !strings.Contains(raw, "://") {
		var m []string
		if strings.Contains(raw, ":") { // most are names: spare them the expression
			m = scpLike.FindStringSubmatch(raw)
		}
		if m != nil && !isPort(m[3]) {
			if m[1] == "" && strings.Contains(m[3], "@") {
				return bad("it has a password but no scheme")
			}
			raw = "ssh://" + m[2] + "/" + m[3]
		} else {
			raw, named = "https://"+raw, true
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return bad("it is not an address")
	}
	port := u.Port()
	if known, ok := gitPorts[u.Scheme]; !ok {
		return bad("the scheme is none of https, http, ssh, git")
	} else if port == known && !named {
		port = "" // in a name, a port is never the default
	}
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	host = aliases.of(host)
	path := trimGit(strings.TrimLeft(u.Path, "/"))
	if !validHost(host) {
		return bad("it has no host")
	}
	if path == "" {
		return bad("it has no path")
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." || strings.HasPrefix(part, "-") || hasControl(part) {
			return bad("its path has a part that is empty, a dot part, or begins with a hyphen")
		}
	}
	// What an address must escape stays escaped, so that the name is ASCII
	// and gives itself when it is read again.
	return GitRepository(host + "/" + (&url.URL{Path: path}).EscapedPath()), nil
}

// trimGit drops slashes and ".git" at the end, however many there are.
func trimGit(path string) string {
	for {
		shorter := strings.TrimSuffix(strings.TrimRight(path, "/"), ".git")
		if shorter == path {
			return path
		}
		path = shorter
	}
}

// isPort says whether what follows "host:" is a port and a path rather than
// an scp-like path.
func isPort(rest string) bool {
	digits, _, slash := strings.Cut(rest, "/")
	return slash && digits != "" && strings.Trim(digits, "0123456789") == ""
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' })
}

// redactUser drops user and password, since an address may hold a token.
func redactUser(s string) string {
	i := strings.LastIndexByte(s, '@')
	if j := strings.Index(s, "://"); j >= 0 && j < i {
		return s[:j+3] + s[i+1:]
	}
	return s[i+1:]
}
