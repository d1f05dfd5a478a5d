package pullrequest

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/slipway-cd/slipway/shared/service"
)

// repository is the path of a repository below its host, in parts that are
// not escaped.
type repository []string

// apiPath is what hosts put behind the path below which all of them is.
var apiPath = regexp.MustCompile(`/(api/v[0-9]+|rest/api/[^/]+|2\.0)$`)

// repositoryOf is the repository's path without that of a host that is not at
// the root of its name, which the path of its API tells.
func repositoryOf(r service.Repository, api string) (repository, error) {
	name, err := r.Name(nil)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	_, path, _ := strings.Cut(string(name), "/")
	path, err = url.PathUnescape(path)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	if root := strings.Trim(apiPath.ReplaceAllString(api, ""), "/"); root != "" {
		path = strings.TrimPrefix(path, root+"/")
	}
	return strings.Split(path, "/"), nil
}

// two gives owner and name, for hosts that have no deeper paths.
func (r repository) two() (owner, name string, err error) {
	if len(r) != 2 {
		return "", "", fmt.Errorf("url: %q is not <owner>/<repository>", strings.Join(r, "/"))
	}
	return r[0], r[1], nil
}

// escaped joins parts to a path, each escaped whole.
func escaped(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("/" + url.PathEscape(p))
	}
	return b.String()
}
