package service

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ErrConfig says that the config is not usable; the error tells every fault.
var ErrConfig = errors.New("config is not usable")

// Load reads the config file, lays the environment over it, adds the sources
// of sources.d beside it, fills defaults and checks all. Every fault is reported at once, with the file's line where
// there is one. An empty name means: environment and defaults only.
func Load(file string) (Config, error) {
	c, all, err := read(file)
	if err != nil {
		return Config{}, err
	}
	if file != "" {
		sources, faults := readSources(file)
		c.Receivers.Sources = append(c.Receivers.Sources, sources...)
		all = append(all, faults...)
	}
	c = c.withDefaults()
	if err := c.Validate(); err != nil {
		all = append(all, err)
	}
	if err := errors.Join(all...); err != nil {
		return Config{}, fmt.Errorf("%w:\n%w", ErrConfig, err)
	}
	c.File = file
	c.loaded = fingerprint(c)
	return c, nil
}

// read reads the config file and lays the environment over it.
func read(file string) (c Config, faults []error, err error) {
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return c, nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		faults = decode(data, &c, file)
	}
	return c, append(faults, override(&c, os.Environ())...), nil
}

// LoadRepositories is [Load] for a machine that has none of the secrets: of
// what is read, only registries, repositories and remoteBases are checked.
func LoadRepositories(file string) (Config, error) {
	c, all, err := read(file)
	if err != nil {
		return Config{}, err
	}
	c = c.withDefaults()
	f := &faults{list: all}
	c.validateRegistries(f)
	c.validateBases(f)
	c.validateRepositories(f)
	if err := f.err(); err != nil {
		return Config{}, fmt.Errorf("%w:\n%w", ErrConfig, err)
	}
	c.File = file
	return c, nil
}

// decode reads YAML strictly; an unknown field is a fault.
func decode(data []byte, into any, where string) []error {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	err := d.Decode(into)
	if err == nil {
		var more yaml.Node
		if d.Decode(&more) == nil {
			return []error{fmt.Errorf("%s: line %d: a second document: a file has one", where, more.Line)}
		}
		return nil
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	var typed *yaml.TypeError
	if !errors.As(err, &typed) {
		return []error{fmt.Errorf("%s: %s", where, strings.TrimPrefix(err.Error(), "yaml: "))}
	}
	var all []error
	for _, fault := range typed.Errors {
		all = append(all, fmt.Errorf("%s: %s", where, plain(fault)))
	}
	return all
}

const envPrefix = "SLIPWAY_"

// override lays environment variables over the config:
// SLIPWAY_AUTOMATOR_DEBOUNCE_QUIET is automator.debounce.quiet. A value is
// read as YAML, so that lists and whole sections can be given.
func override(c *Config, environ []string) []error {
	fields := map[string]reflect.Value{}
	collect(reflect.ValueOf(c).Elem(), envPrefix, fields)
	slices.Sort(environ) // a section comes before its fields
	var all []error
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		field, ok := fields[name]
		if !ok {
			if section, _, _ := strings.Cut(strings.TrimPrefix(name, envPrefix), "_"); fields[envPrefix+section].IsValid() {
				all = append(all, fmt.Errorf("environment variable %s: the config has no such field", name))
			}
			continue
		}
		if field.Kind() == reflect.String {
			field.SetString(value)
			continue
		}
		all = append(all, decode([]byte(value), field.Addr().Interface(), "environment variable "+name)...)
	}
	return all
}

// collect lists every field below v by the name of its variable. Sections
// behind pointers are made only when one is set whole.
func collect(v reflect.Value, prefix string, into map[string]reflect.Value) {
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("yaml")
		if tag == "" || tag == "-" {
			continue
		}
		name := prefix + strings.ToUpper(tag)
		into[name] = v.Field(i)
		if v.Field(i).Kind() == reflect.Struct {
			collect(v.Field(i), name+"_", into)
		}
	}
}
