# Reads the events of `go test -json` twice (the file is named twice) and prints the output of what failed.
function field(name,   at, rest) {
  at = index($0, "\"" name "\":\"")
  if (!at) return ""
  rest = substr($0, at + length(name) + 4)
  return substr(rest, 1, match(rest, /[^\\]"/))
}
{ key = field("Package") SUBSEP field("Test"); action = field("Action") }
FNR == NR { if (action == "fail") failed[key]; next }
action == "build-output" || (action == "output" && key in failed) {
  at = index($0, "\"Output\":\"")
  text = substr($0, at + 10)
  sub(/"[^"]*}$/, "", text)
  gsub(/\\n/, "\n", text); gsub(/\\t/, "\t", text); gsub(/\\"/, "\"", text)
  gsub(/\\u003c/, "<", text); gsub(/\\u003e/, ">", text); gsub(/\\u0026/, "\\&", text)
  printf "%s", text
}
