package charts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/Masterminds/semver/v3"
	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/shared/api"
)

// Entry is one version of a chart in the index of a chart repository.
type Entry struct {
	Version string   `json:"version" yaml:"version"`
	Digest  string   `json:"digest" yaml:"digest"` // SHA-256 in hex; often empty
	URLs    []string `json:"urls" yaml:"urls"`     // seen from the repository
}

const (
	// MaxIndex bounds an index, in bytes. The largest that are public have
	// about 30 MB.
	MaxIndex = 64 << 20
	// maxChart bounds what it says of one chart, and what is read as a whole.
	maxChart = 16 << 20
)

// Entries reads what an index.yaml says of one chart: nil where it isn't there.
// Helm's indexes have a chart's versions under its name in a block, so of a large
// one only that is parsed; one in JSON is read as it comes. It errs with
// [ErrBad].
func Entries(index io.ReadSeeker, name string) ([]Entry, error) {
	first, err := firstByte(index)
	if err != nil {
		return nil, err
	}
	if first == '{' {
		entries, err := jsonEntries(index, name)
		if err == nil {
			return entries, nil
		}
		return whole(index, name) // it may be YAML in flow style
	}
	block, found, err := blockOf(index, name)
	if err == nil {
		if !found {
			return nil, nil
		}
		var entries []Entry
		if err := yaml.Unmarshal(block, &entries); err == nil {
			return entries, nil
		}
	}
	return whole(index, name)
}

// firstByte is the first one that isn't white space.
func firstByte(index io.ReadSeeker) (byte, error) {
	if _, err := index.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	r := bufio.NewReader(index)
	for {
		b, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return 0, bad("the index is empty")
		}
		if err != nil || !strings.ContainsRune(" \t\r\n", rune(b)) {
			return b, err
		}
	}
}

// jsonEntries reads an index in JSON.
func jsonEntries(index io.ReadSeeker, name string) ([]Entry, error) {
	if _, err := index.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bufio.NewReaderSize(index, 1<<20))
	var found []Entry
	err := members(d, func(key string) error {
		if key != "entries" {
			return skip(d)
		}
		return members(d, func(key string) error {
			if key != name {
				return skip(d)
			}
			return d.Decode(&found)
		})
	})
	return found, err
}

// members calls f for each key of an object, to read its value.
func members(d *json.Decoder, f func(key string) error) error {
	open, err := d.Token()
	if err != nil || open != json.Delim('{') {
		return errors.Join(err, errors.New("it is no object"))
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		text, _ := key.(string)
		if err := f(text); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// skip reads a value and forgets it.
func skip(d *json.Decoder) error {
	depth := 0
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

var errOtherForm = errors.New("the index has another form than Helm's")

// blockOf finds the lines of one chart in an index that is written in blocks. It
// errs for every other form.
func blockOf(index io.ReadSeeker, name string) (block []byte, found bool, err error) {
	if _, err := index.Seek(0, io.SeekStart); err != nil {
		return nil, false, err
	}
	b := blocks{name: name, indent: -1}
	r := bufio.NewReaderSize(index, 1<<20)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, false, err // a line that long is none of Helm's
		}
		if fault := b.line(line); fault != nil {
			return nil, false, fault
		}
		if errors.Is(err, io.EOF) {
			if !b.entries {
				return nil, false, errOtherForm
			}
			return b.lines.Bytes(), b.found, nil
		}
	}
}

// blocks follows an index line by line.
type blocks struct {
	name            string
	entries, inside bool // the key was there; its lines are being read
	indent          int  // of the charts' names; -1: not known yet
	found, mine     bool // the chart was there; its lines are being read
	lines           bytes.Buffer
}

func (b *blocks) line(line []byte) error {
	text := bytes.TrimRight(line, "\r\n")
	trimmed := bytes.TrimLeft(text, " ")
	indent := len(text) - len(trimmed)
	if len(trimmed) == 0 || trimmed[0] == '#' {
		if b.mine {
			b.lines.Write(line)
		}
		return nil
	}
	switch {
	case trimmed[0] == '\t', trimmed[0] == '%', b.entries && bytes.Equal(text, []byte("---")):
		return errOtherForm
	case indent == 0 && trimmed[0] != '-':
		b.inside, b.mine = false, false
		if key, rest, isKey := keyOf(trimmed); isKey && key == "entries" {
			if rest != "" && rest != "{}" || b.entries {
				return errOtherForm
			}
			b.entries, b.inside = true, rest == ""
		}
		return nil
	case !b.inside:
		return nil
	case b.indent < 0:
		b.indent = indent
	}
	if indent < b.indent {
		return errOtherForm
	}
	if indent == b.indent && trimmed[0] != '-' {
		key, rest, isKey := keyOf(trimmed)
		if !isKey || rest != "" && rest != "[]" {
			return errOtherForm
		}
		b.mine = key == b.name
		if b.mine && b.found {
			return errOtherForm // twice
		}
		b.found = b.found || b.mine
		return nil
	}
	if b.mine {
		if b.lines.Len()+len(line) > maxChart {
			return bad("the index says more than %d bytes of one chart", maxChart)
		}
		b.lines.Write(line)
	}
	return nil
}

// keyOf reads "key:" with what stands behind it.
func keyOf(line []byte) (key, rest string, ok bool) {
	text := string(line)
	if quote := text[0]; quote == '"' || quote == '\'' {
		end := strings.IndexByte(text[1:], quote)
		if end < 0 || strings.ContainsAny(text[1:end+1], `\`) {
			return "", "", false
		}
		key, text = text[1:end+1], text[end+2:]
		rest, ok = strings.CutPrefix(text, ":")
	} else {
		key, rest, ok = strings.Cut(text, ":")
		if strings.ContainsAny(key, " \t[]{}&*!|>?,\"'") {
			return "", "", false
		}
	}
	if ok && rest != "" && rest[0] != ' ' {
		return "", "", false
	}
	if rest = strings.TrimSpace(rest); strings.HasPrefix(rest, "#") {
		rest = ""
	}
	return key, rest, ok
}

// whole parses all of an index, unless it is too large for that.
func whole(index io.ReadSeeker, name string) ([]Entry, error) {
	if _, err := index.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(index, maxChart+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxChart {
		return nil, bad("the index is larger than %d bytes and in another form than `helm repo index` writes", maxChart)
	}
	var all struct {
		Entries map[string]yaml.Node `yaml:"entries"`
	}
	if err := yaml.Unmarshal(data, &all); err != nil {
		return nil, bad("the index is not YAML as a chart repository has it")
	}
	node, there := all.Entries[name]
	if !there {
		return nil, nil
	}
	var entries []Entry
	if err := node.Decode(&entries); err != nil {
		return nil, bad("the index has no list of versions for %s", name)
	}
	return entries, nil
}

// Choose picks the version that a reference means: the one that is written so,
// else an equal one; of a range the greatest. It errs with [ErrMissing].
func Choose(versions []string, ref api.ChartRef) (int, error) {
	if len(versions) == 0 {
		return -1, fmt.Errorf("%w: there is no chart %s in %s", ErrMissing, ref.Name, ref.Repository)
	}
	if ref.Exact() {
		for i, v := range versions {
			if v == ref.Version {
				return i, nil
			}
		}
		want, _ := semver.NewVersion(ref.Version)
		for i, v := range versions {
			if have, err := semver.NewVersion(v); err == nil && have.Equal(want) && have.Metadata() == want.Metadata() {
				return i, nil
			}
		}
		return -1, fmt.Errorf("%w: chart %s has no version %s in %s", ErrMissing, ref.Name, ref.Version, ref.Repository)
	}
	wanted, err := api.ParseVersions(ref.Version)
	if err != nil {
		return -1, fmt.Errorf("%w: %w", ErrBad, err)
	}
	greatest := wanted.Greatest(versions)
	for i, v := range versions {
		if greatest != "" && v == greatest {
			return i, nil
		}
	}
	return -1, fmt.Errorf("%w: chart %s has %d versions in %s, and none is in the range %s", ErrMissing, ref.Name, len(versions), ref.Repository, ref.Version)
}
