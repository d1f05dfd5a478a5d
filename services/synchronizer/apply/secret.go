package apply

import (
	"encoding/base64"
	"maps"
)

// encode writes a Secret's stringData as data. The API server does so, too, but
// leaves us the owner of fields that are no longer there: what others change of
// the values would never be seen, and a key that is gone from Git would stay.
// What isn't as it should be is left to the API server to refuse.
func (i *Item) encode() {
	if i.Kind.Group != "" || i.Kind.Kind != "Secret" {
		return
	}
	for _, field := range i.left {
		if field[0] == "stringData" {
			field[0] = "data"
		}
	}
	given, ok := i.Object.Object["stringData"].(map[string]any)
	if !ok {
		return
	}
	data := map[string]any{}
	switch before := i.Object.Object["data"].(type) {
	case nil:
	case map[string]any:
		data = maps.Clone(before)
	default:
		return
	}
	for key, value := range given {
		text, ok := value.(string)
		if !ok {
			return
		}
		data[key] = base64.StdEncoding.EncodeToString([]byte(text)) // it wins over data, as in the API
	}
	i.Object.Object["data"] = data
	delete(i.Object.Object, "stringData")
}
