package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"unicode/utf8"
)

// MediaType wants one of the types; parameters such as charset are ignored.
func MediaType(r Request, types ...string) (string, error) {
	got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(types, got) {
		return "", fmt.Errorf("%w: %q is none of %v", ErrContentType, r.Header.Get("Content-Type"), types)
	}
	return got, nil
}

// JSON reads a body that is one JSON object in UTF-8, with nothing behind it.
// Of keys that are there twice the last counts, as encoding/json has it.
func JSON(body []byte, into any) error { return readJSON(body, into, '{', "a JSON object") }

// JSONList is [JSON] for a body that is one list.
func JSONList(body []byte, into any) error { return readJSON(body, into, '[', "a JSON list") }

// IsList says whether a body looks like a JSON list.
func IsList(body []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) }

func readJSON(body []byte, into any, first byte, kind string) error {
	switch {
	case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")), bytes.HasPrefix(body, []byte("\xfe\xff")), bytes.HasPrefix(body, []byte("\xff\xfe")):
		return fmt.Errorf("%w: it begins with a byte order mark", ErrBody)
	case !utf8.Valid(body):
		return fmt.Errorf("%w: it is not UTF-8", ErrBody)
	}
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	if len(trimmed) == 0 || trimmed[0] != first {
		return fmt.Errorf("%w: it is not %s", ErrBody, kind)
	}
	err := json.Unmarshal(body, into)
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrongType):
		return fmt.Errorf("%w: %s must not be a %s (byte %d)", ErrBody, wrongType.Field, wrongType.Value, wrongType.Offset)
	case errors.As(err, &syntax):
		return fmt.Errorf("%w: %s (byte %d)", ErrBody, syntax.Error(), syntax.Offset)
	default:
		return fmt.Errorf("%w: %w", ErrBody, err)
	}
}

// FormPayload takes the JSON out of a form with exactly one payload, as
// GitHub and Gitea send it.
func FormPayload(body []byte) ([]byte, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fmt.Errorf("%w: it is not a form: %w", ErrBody, err)
	}
	if len(form["payload"]) != 1 {
		return nil, fmt.Errorf("%w: the form has %d fields payload, not one", ErrBody, len(form["payload"]))
	}
	return []byte(form["payload"][0]), nil
}
