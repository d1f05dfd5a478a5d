package render

import "bytes"

// unanswered compares a render of a chart that has looked something up with one
// in which it finds nothing that it has made itself. So is told what it makes up and keeps once it is
// there, which is no change of what it is rendered from, and what it leaves out
// because it is there, which is nothing to be pruned. A chart that can't be
// rendered so tells neither.
func (j job) unanswered(k *asking, pieces []piece, mayVary bool) []piece {
	k.silent, k.makes = true, j.madeOf(pieces)
	without, err := j.afresh(k)
	if err != nil {
		return pieces
	}
	varies := map[string]bool{} // by template
	if mayVary {
		again, err := j.afresh(k)
		if err != nil {
			return pieces
		}
		texts := byTemplate(again)
		for name, text := range byTemplate(without) {
			varies[name] = !bytes.Equal(text, texts[name])
		}
	}
	there := map[string]bool{}
	for i := range pieces {
		pieces[i].Varies = pieces[i].Varies || varies[pieces[i].template()]
		there[string(pieces[i].Text)] = true
	}
	for _, p := range without {
		if !there[string(p.Text)] {
			p.Kept, p.Varies = true, varies[p.template()]
			pieces = append(pieces, p)
		}
	}
	return pieces
}

// template is the line by which helm names a piece's template.
func (p piece) template() string {
	line, _, _ := bytes.Cut(p.Text, []byte("\n"))
	return string(line)
}

func byTemplate(pieces []piece) map[string][]byte {
	texts := map[string][]byte{}
	for _, p := range pieces {
		texts[p.template()] = append(texts[p.template()], p.Text...)
	}
	return texts
}
