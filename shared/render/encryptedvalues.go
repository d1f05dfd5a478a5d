package render

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// openValues decrypts the values of Secrets that SOPS encrypted each as a file of its
// own, which is how Flux has what is encrypted be part of a Secret: by its base64 in
// data. Without keys they stay as they are: a program may want them so.
func (s *source) openValues(objects []Object) error {
	if s.decrypter == nil {
		return nil
	}
	var faults []error
	for i := range objects {
		if objects[i].APIVersion == "v1" && objects[i].Kind == "Secret" {
			faults = append(faults, s.openSecret(&objects[i]))
		}
	}
	return errors.Join(faults...)
}

func (s *source) openSecret(o *Object) error {
	plain := 0
	for _, field := range []string{"data", "stringData"} {
		values, _ := o.Map[field].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(values)) {
			text, _ := values[key].(string)
			opened, err := s.openValue(field, key, text)
			if err != nil {
				return &Error{File: o.File, Line: o.Line, Reason: ReasonEncrypted, Message: fmt.Sprintf("%s: decrypt %s[%s] with SOPS: %v", o.ID, field, key, err), Err: err}
			}
			if opened != text {
				values[key] = opened
				plain++
			}
		}
	}
	if plain == 0 {
		return nil
	}
	done, err := document{raw: o.Raw, line: o.Line}.rewritten(o.File, o.ID, o.Map)
	if err == nil {
		o.Raw, o.rewritten = done.Raw, true
	}
	return err
}

// openValue gives a value of data (in base64) or stringData, decrypted if it is an
// encrypted file. The key stands for the file's name.
func (s *source) openValue(field, key, text string) (string, error) {
	value := []byte(text)
	if field == "data" {
		var err error
		if value, err = base64.StdEncoding.DecodeString(text); err != nil {
			return text, nil //nolint:nilerr // the API server says so
		}
	}
	format := FormatOf(key, value)
	if format == "" {
		return text, nil
	}
	plain, err := s.decryptParts(format, value)
	if err != nil {
		return text, err
	}
	s.masks.add(string(bytes.TrimSpace(plain)))
	if field == "data" {
		return base64.StdEncoding.EncodeToString(plain), nil
	}
	return string(plain), nil
}
