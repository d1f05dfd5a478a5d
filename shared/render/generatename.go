package render

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// longestGenerated leaves a name that is made up valid for every kind: 63 bytes.
const longestGenerated = 63 - 8

// hook gives a hook without a name one, as Argo CD does: what runs once per revision
// and is over may have generateName. The name is the same in every render, so that
// what ran before is known. Anything else without a name is a fault.
func (d document) hook(src *source, file string, id ID, m map[string]any) ([]Object, error) {
	meta, _ := m["metadata"].(map[string]any)
	prefix, _ := meta["generateName"].(string)
	turn, err := Object{Map: m}.turn()
	if _, named := meta["name"]; prefix == "" || named || err != nil || !turn.IsHook {
		return nil, d.nameless(file, id, m)
	}
	id.Name = src.generate(file, id, prefix)
	meta["name"] = id.Name
	delete(meta, "generateName")
	o, err := d.rewritten(file, id, m)
	if err != nil {
		return nil, err
	}
	return []Object{o}, src.count(file, 1)
}

// generate makes a name up of a file, and of which of its objects of one kind and
// prefix it is for.
func (s *source) generate(file string, id ID, prefix string) string {
	of := fmt.Sprintf("%s\x00%s\x00%s\x00%s", file, id.Kind, id.Namespace, prefix)
	if s.generated == nil {
		s.generated = map[string]int{}
	}
	s.generated[of]++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", of, s.generated[of]))
	return prefix[:min(len(prefix), longestGenerated)] + hex.EncodeToString(sum[:4])
}
