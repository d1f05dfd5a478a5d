package events

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func FuzzParse(f *testing.F) {
	goldens, err := filepath.Glob("testdata/dev.*.json")
	if err != nil {
		f.Fatal(err)
	}
	// The standard's samples too, where they are.
	samples, err := filepath.Glob(filepath.Join("..", "..", "shared", "corpus", "cdevents", "conformance", "*.json"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(goldens, samples...) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Parse(data)
		if err != nil {
			if errors.Is(err, ErrInvalid) == errors.Is(err, ErrUnknownType) {
				t.Fatalf("not one of the two errors: %v", err)
			}
			return
		}
		written, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		again, err := Parse(written)
		if err != nil {
			t.Fatalf("what was written can't be read: %v\n%s", err, written)
		}
		if text, err := json.Marshal(again); err != nil || string(text) != string(written) {
			t.Fatalf("%s\nbecomes %s, %v", written, text, err)
		}
		if again.ID != e.ID || !reflect.DeepEqual(again.Payload.Key(), e.Payload.Key()) || again.NATSSubject() != e.NATSSubject() {
			t.Fatalf("%+v becomes %+v", e, again)
		}
	})
}
