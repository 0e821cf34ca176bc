-- wrk script: sends prepared requests in turn and prints one line of results.
--
--   wrk … -s load.lua URL -- REQUESTS METHOD [ANSWERS]
--
-- REQUESTS  a file with one request per line: the Authorization value, a tab, the form body, if any.
--           They are sent from the first line to the last, then from the first again.
-- ANSWERS   where to write each answer's body, one per line; left out while measuring.

local requests = {}
local position = 0

local function keep_answers(path)
  local answers = assert(io.open(path, "w"))
  response = function(status, _, body)
    if status == 200 then
      answers:write(body, "\n")
    end
  end
end

function init(arguments)
  for line in io.lines(arguments[1]) do
    local authorization, body = line:match("^([^\t]*)\t(.*)$")
    local headers = { ["Authorization"] = authorization }
    if body == "" then
      body = nil
    else
      headers["Content-Type"] = "application/x-www-form-urlencoded"
    end
    requests[#requests + 1] = wrk.format(arguments[2], nil, headers, body)
  end
  if arguments[3] then
    keep_answers(arguments[3])
  end
end

function request()
  position = position % #requests + 1
  return requests[position]
end

function done(summary, latency, _)
  local errors = summary.errors
  local failures = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  io.write(string.format(
    'RESULT {"requests": %d, "failures": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, failures, summary.duration, latency:percentile(50), latency:percentile(99)
  ))
end
