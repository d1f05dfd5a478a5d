package service

import (
	"net/http"
	"strings"
)

// HookPrefix begins the path of every webhook: /hooks/{source}[/{token}].
const HookPrefix = "/hooks/"

// SourceOf is the source that a request names, empty when its path is none
// of a webhook.
func SourceOf(r *http.Request) string {
	rest, ok := strings.CutPrefix(r.URL.Path, HookPrefix)
	if !ok {
		return ""
	}
	source, _, _ := strings.Cut(rest, "/")
	return source
}
