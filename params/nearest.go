package params

import "strings"

// nearest returns the known name that was most likely meant, or "" if none is close. It prefers a
// name that differs in case only, then one that is one edit away, then one that contains the other,
// then the one the fewest edits away. A name of three letters or fewer is close to too many words.
func nearest(name string, known []string) string {
	const (
		longest = 64 // of names worth comparing
		short   = 3
	)
	if len(name) > longest {
		return ""
	}
	lower := strings.ToLower(name)
	best, fewest := "", 2*(2+len(name)/3)
	for _, k := range known {
		candidate := strings.ToLower(k)
		if candidate == lower {
			return k
		}
		if len(lower) <= short {
			continue
		}
		edits := 2 * distance(lower, candidate)
		if len(candidate) > short && (strings.Contains(candidate, lower) || strings.Contains(lower, candidate)) {
			edits = min(edits, 3)
		}
		if edits < fewest {
			best, fewest = k, edits
		}
	}
	return best
}

// distance returns how many bytes have to be inserted, dropped or replaced to turn a into b
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
