package apply

import (
	"hash/fnv"
	"strconv"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
)

// memory knows what was sent, and which fields we owned right after. As long
// as we own the same fields, every one of them has the value that we gave it:
// whoever changes a field takes it from us. So an object that was sent alike
// and whose fields are still ours need not be sent again.
type memory struct {
	mu   sync.Mutex
	sent map[memoryKey]sent
}

type memoryKey struct{ group, resource, namespace, name string }

type sent struct {
	body, fields uint64
	uid          string
}

func newMemory() *memory { return &memory{sent: map[memoryKey]sent{}} }

func keyOf(item *Item) memoryKey {
	return memoryKey{item.Resource.Group, item.Resource.Resource, item.Namespace, item.Name}
}

func (m *memory) same(item *Item, before state) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sent[keyOf(item)]
	return ok && before.exists && s.uid == before.uid && s.fields != 0 && s.fields == before.fields && s.body == item.hash()
}

func (m *memory) remember(item *Item, live metav1.Object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent[keyOf(item)] = sent{body: item.hash(), fields: health.OurFields(live), uid: string(live.GetUID())}
}

func (m *memory) forget(item *Item) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sent, keyOf(item))
}

// Forget has items be sent though they were before: another process may have sent
// other values of the same fields since.
func (a *Applier) Forget(items []*Item) {
	for _, item := range items {
		a.memory.forget(item)
	}
}

// hash is over the rendered document and what we add to it.
func (i *Item) hash() uint64 {
	h := fnv.New64a()
	for _, part := range [][]byte{i.raw, []byte(i.Resource.Version), []byte(i.Namespace), i.added} {
		_, _ = h.Write(part) // a hash never errs
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64()
}

// hashText is a hash as an inventory has it; empty for 0.
func hashText(h uint64) string {
	if h == 0 {
		return ""
	}
	return strconv.FormatUint(h, 16)
}
