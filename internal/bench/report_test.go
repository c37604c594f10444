package bench

import "testing"

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{0: nil, 2: {3, 1, 2}, 2.5: {4, 1, 2, 3}} {
		if got := Median(values); got != want {
			t.Errorf("%v: %v, want %v", values, got, want)
		}
	}
}

func TestASectionIsReplacedAndTheOthersStay(t *testing.T) {
	document := replaceSection("# Title\n", "a", "first")
	document = replaceSection(document, "b", "second\n")
	document = replaceSection(document, "a", "third\n")
	want := "# Title\n\n<!-- begin a -->\nthird\n<!-- end a -->\n\n<!-- begin b -->\nsecond\n<!-- end b -->\n"
	if document != want {
		t.Errorf("got %q, want %q", document, want)
	}
}
