package pullrequest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
)

var (
	// ErrUnauthorized says that the host doesn't know the credentials, or that
	// they may not do this.
	ErrUnauthorized = errors.New("the credentials may not do this")
	// ErrNotFound says that the repository or the pull request isn't there.
	// Most hosts say so, too, where the credentials may not see it.
	ErrNotFound = errors.New("it isn't there, or the credentials may not see it")
	// ErrRefused says that the host won't do what was asked for; asking again
	// is no use.
	ErrRefused = errors.New("the host refuses it")
	// ErrRateLimited says that we ask too often; [StatusError] says until when
	// to wait.
	ErrRateLimited = errors.New("too many requests")
	// ErrNotOpen says that a pull request was merged or closed meanwhile.
	ErrNotOpen = errors.New("the pull request is not open")
)

// errMoved is for hosts that send a change on to somewhere else.
var errMoved = fmt.Errorf("%w: the repository has moved: is its url right?", ErrRefused)

// StatusError is a host's answer that is not the one that was hoped for.
type StatusError struct {
	Kind         string // of the host
	Method, Path string // what was asked for
	Status       int    // of HTTP; 0 when nobody was asked, to keep to a limit
	// Words are the host's own, cut short, and without our secrets.
	Words string
	// RetryAt is when to ask again, zero where the host doesn't say.
	RetryAt time.Time

	reason error
}

// Unwrap gives one of the sentinels, or nil.
func (e *StatusError) Unwrap() error { return e.reason }

func (e *StatusError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s", e.Kind, e.Method, e.Path)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %d %s", e.Status, http.StatusText(e.Status))
	}
	if e.reason != nil {
		fmt.Fprintf(&b, ": %v", e.reason)
	}
	if !e.RetryAt.IsZero() {
		fmt.Fprintf(&b, " (again at %s)", e.RetryAt.UTC().Format(time.RFC3339))
	}
	if e.Words != "" {
		fmt.Fprintf(&b, ": it says: %s", e.Words)
	}
	return b.String()
}

// reasonOf is what a status means on all hosts.
func reasonOf(status int) error {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrUnauthorized
	case http.StatusNotFound, http.StatusGone:
		return ErrNotFound
	case http.StatusTooManyRequests:
		return ErrRateLimited
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusConflict,
		http.StatusPreconditionFailed, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return ErrRefused
	default:
		return nil
	}
}

// maxWords bounds in bytes what is told of a host's words.
const maxWords = 400

// words finds what a host says in the body of an error, in the shapes of all
// of them.
func words(body []byte, secrets []string) string {
	var said any
	var found []string
	if json.Unmarshal(body, &said) == nil {
		found = collect(said, 0, nil)
	} else if text := strings.TrimSpace(string(body)); text != "" && !strings.HasPrefix(text, "<") {
		found = []string{text}
	}
	text := strings.Join(slices.Compact(found), "; ")
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, "***")
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "") + " …"
	}
	return text
}

// telling are the fields in which hosts speak, in the order in which they are
// read. Below them, others name what is wrong.
var (
	telling = []string{"error", "message", "error_description", "detail", "reason", "field", "code", "context", "errors", "fields"}
	mute    = []string{"documentation_url", "exceptionName", "id", "resource", "type", "url"}
)

// collect gathers the texts of a JSON body.
func collect(v any, depth int, found []string) []string {
	const deepest, most = 5, 20
	if depth > deepest || len(found) > most {
		return found
	}
	switch v := v.(type) {
	case string:
		if strings.TrimSpace(v) != "" {
			found = append(found, v)
		}
	case []any:
		for _, e := range v {
			found = collect(e, depth+1, found)
		}
	case map[string]any:
		for _, key := range telling {
			found = collect(v[key], depth+1, found)
		}
		if depth > 0 {
			found = named(v, depth, found)
		}
	}
	return found
}

// named gathers the other fields of an object, each with its name.
func named(v map[string]any, depth int, found []string) []string {
	for _, key := range slices.Sorted(maps.Keys(v)) {
		if slices.Contains(telling, key) || slices.Contains(mute, key) {
			continue
		}
		if texts := collect(v[key], depth+1, nil); len(texts) > 0 {
			found = append(found, key+": "+strings.Join(texts, ", "))
		}
	}
	return found
}
