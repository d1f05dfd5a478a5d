package bus

// deskHeap orders desks by when they are due.
type deskHeap []*desk

func (h deskHeap) Len() int           { return len(h) }
func (h deskHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h deskHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *deskHeap) Push(x any) {
	d := x.(*desk)
	d.index = len(*h)
	*h = append(*h, d)
}

func (h *deskHeap) Pop() any {
	old := *h
	d := old[len(old)-1]
	*h = old[:len(old)-1]
	d.index = -1
	return d
}
