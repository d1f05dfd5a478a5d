package synchronizer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// ErrInput says that what a person gave can't be read.
var ErrInput = errors.New("wrong input")

// readVars reads a file of variables: KEY=VALUE, one a line, or a YAML mapping.
// The error is an ErrInput.
func readVars(name string) (map[string]string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	vars, err := parseVars(name, data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return vars, nil
}

func parseVars(name string, data []byte) (map[string]string, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if lines, ok := assignments(string(data)); ok {
		return assigned(name, lines)
	}
	vars := map[string]string{}
	if err := api.DecodePart(name, data, &vars); err != nil {
		return nil, fmt.Errorf("variables are KEY=VALUE, one a line, or a YAML mapping: %w", err)
	}
	for key := range vars {
		if !api.VariableName(key) {
			return nil, fmt.Errorf("%s: %q is not a variable's name: write letters, digits and _, and no digit first", name, key)
		}
	}
	return vars, nil
}

// readValues reads files of values in the place of a cluster's. The error is an
// ErrInput.
func readValues(names []string) ([]render.ClusterValues, error) {
	var all []render.ClusterValues
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInput, err)
		}
		values := render.ClusterValues{Name: name, Text: string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))}
		if err := values.Check(); err != nil {
			return nil, fmt.Errorf("%w: %s %w", ErrInput, name, err)
		}
		all = append(all, values)
	}
	return all, nil
}

// assignments gives the lines that count; ok says that the first of them is
// KEY=VALUE, so that the file is no YAML.
func assignments(text string) (lines map[int]string, ok bool) {
	lines = map[int]string{}
	first := 0
	n := 0
	for line := range strings.Lines(text) {
		n++
		if line = strings.TrimRight(line, "\r\n"); strings.TrimSpace(line) != "" && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			lines[n] = line
			if first == 0 {
				first = n
			}
		}
	}
	key, _, found := strings.Cut(lines[first], "=")
	return lines, first == 0 || found && !strings.Contains(key, ":") && !strings.HasPrefix(key, "{")
}

// assigned reads KEY=VALUE. Everything behind the = is the value, as it stands;
// a pair of quotes around it goes.
func assigned(name string, lines map[int]string) (map[string]string, error) {
	vars := make(map[string]string, len(lines))
	at := map[string]int{}
	for n, line := range lines {
		key, value, found := strings.Cut(line, "=")
		key = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(key), "export "))
		switch {
		case !found:
			return nil, fmt.Errorf("%s:%d: the line is not KEY=VALUE", name, n)
		case !api.VariableName(key):
			return nil, fmt.Errorf("%s:%d: %q is not a variable's name: write letters, digits and _, and no digit first", name, n, key)
		case at[key] != 0:
			return nil, fmt.Errorf("%s:%d: %s is there twice, also in line %d", name, max(n, at[key]), key, min(n, at[key]))
		}
		at[key] = n
		if q := value; len(q) > 1 && (q[0] == '"' || q[0] == '\'') && q[len(q)-1] == q[0] {
			value = q[1 : len(q)-1]
		}
		vars[key] = value
	}
	return vars, nil
}
