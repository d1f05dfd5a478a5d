package promote

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
)

func isRequest(err error) bool { return errors.Is(err, ErrRequest) }

// holdText is what the batch so far makes of an application's holds.
func (b *batch) holdText(s *State, application string) ([]byte, error) {
	file := api.HoldFile(application)
	if text, changed := b.files[file]; changed {
		return text, nil
	}
	text, err := fs.ReadFile(s.Head.FS(), file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return text, nil
}

// hold adds a hold to the batch. One that is there already, and stands as long,
// is no change.
func (b *batch) hold(s *State, q Request) (changed bool, err error) {
	text, err := b.holdText(s, q.Application)
	if err != nil {
		return false, err
	}
	file := api.HoldFile(q.Application)
	h := readHolds(file, q.Application, text)
	if h.broken != nil {
		return false, fmt.Errorf("%w: the holds that are there can't be read: %w", ErrRequest, h.broken)
	}
	for _, old := range h.list {
		if old.Spec.Image == q.Image && old.Spec.Digest == q.Digest && old.Spec.Tag == q.Tag && (old.Spec.Until == nil || q.Until != nil && !q.Until.After(*old.Spec.Until)) {
			return false, nil
		}
	}
	document, err := holdDocument(q)
	if err != nil {
		return false, err
	}
	if len(text) > 0 {
		document = "---\n" + document
		if !bytes.HasSuffix(text, []byte("\n")) {
			document = "\n" + document
		}
	}
	b.files[file] = append(bytes.Clone(text), document...)
	b.placed = append(b.placed, q)
	return true, nil
}

// holdDocument writes a hold. JSON's strings are YAML's too.
func holdDocument(q Request) (string, error) {
	app, err := events.ParseApplication(q.Application)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrRequest, err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: %s\nkind: Hold\nmetadata:\n  name: %s\nspec:\n  application: %s\n  image: %s\n", api.APIVersion, holdName(app, q.version()), q.Application, q.Image)
	for _, field := range []struct{ name, value string }{{"digest", q.Digest}, {"tag", q.Tag}, {"reason", q.Reason}, {"by", q.By}} {
		if field.value == "" {
			continue
		}
		text, err := json.Marshal(field.value)
		if err != nil {
			return "", fmt.Errorf("write a hold: %w", err)
		}
		fmt.Fprintf(&b, "  %s: %s\n", field.name, text)
	}
	if q.Until != nil {
		fmt.Fprintf(&b, "  until: %s\n", q.Until.UTC().Format(time.RFC3339))
	}
	return b.String(), nil
}

// release takes a hold out of the batch's file, whose other documents stay as
// they are. A hold that isn't there is a request that can't be done.
func (b *batch) release(s *State, q Request) (changed bool, err error) {
	text, err := b.holdText(s, q.Application)
	if err != nil {
		return false, err
	}
	file := api.HoldFile(q.Application)
	var kept [][]byte
	for _, part := range documents(text) {
		h := readHolds(file, q.Application, part)
		if h.broken == nil && len(h.list) == 1 && q.holds(h.list[0]) {
			changed = true
			continue
		}
		kept = append(kept, part)
	}
	if !changed {
		return false, fmt.Errorf("%w: %s has no hold on %s %s", ErrRequest, q.Application, q.Image, q.version())
	}
	b.files[file] = bytes.Join(kept, []byte("---\n"))
	if len(bytes.TrimSpace(b.files[file])) == 0 {
		b.files[file] = nil
	}
	return true, nil
}

// holds says whether a hold is the one that the request names.
func (q Request) holds(h *api.Hold) bool {
	return h.Spec.Image == q.Image && (q.Digest == "" || h.Spec.Digest == q.Digest) && (q.Tag == "" || h.Spec.Tag == q.Tag)
}

// documents splits a file at the lines that part its documents.
func documents(text []byte) [][]byte {
	var all [][]byte
	var one []byte
	for line := range bytes.Lines(text) {
		if bytes.Equal(bytes.TrimRight(line, " \r\n"), []byte("---")) {
			if len(bytes.TrimSpace(one)) > 0 {
				all = append(all, one)
			}
			one = nil
			continue
		}
		one = append(one, line...)
	}
	if len(bytes.TrimSpace(one)) > 0 {
		all = append(all, one)
	}
	return all
}
