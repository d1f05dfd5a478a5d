package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
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
// Names count by letter, capitals too, and of names that are there twice the
// last: for most readers of JSON a name in another case is another name.
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
	err := json.Unmarshal(body, into, lenient)
	if err == nil {
		return nil
	}
	if wrong, ok := errors.AsType[*json.SemanticError](err); ok {
		return fmt.Errorf("%w: %w", ErrBody, ofType(wrong))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: its JSON ends in the middle (byte %d)", ErrBody, len(body))
	}
	if wrong, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("%w: %w (byte %d)", ErrBody, wrong.Err, wrong.ByteOffset)
	}
	return fmt.Errorf("%w: %w", ErrBody, err)
}

// lenient is what senders are granted: names that are there twice, which is
// quicker than to remember them all, and half of a surrogate pair in a text,
// which becomes U+FFFD and so is no part of a name.
var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// ofType says where a value is of a type that the field can't take.
func ofType(wrong *json.SemanticError) error {
	field := strings.ReplaceAll(strings.TrimPrefix(string(wrong.JSONPointer), "/"), "/", ".")
	if wrong.Err != nil {
		return fmt.Errorf("%s: %w (byte %d)", field, wrong.Err, wrong.ByteOffset)
	}
	return fmt.Errorf("%s must be %s, not %s (byte %d)", field, kindOf(wrong.GoType), kindNames[wrong.JSONKind], wrong.ByteOffset)
}

var kindNames = map[jsontext.Kind]string{
	jsontext.KindNull: "null", jsontext.KindTrue: "true", jsontext.KindFalse: "false", jsontext.KindString: "a string",
	jsontext.KindNumber: "a number", jsontext.KindBeginObject: "an object", jsontext.KindBeginArray: "a list",
}

// kindOf names the JSON that a Go type is read from.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "a number"
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
