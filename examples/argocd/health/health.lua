-- Health of RuttaRouter, RuttaShipper and RuttaProxy. Their status follows kstatus: the operator sums up all pods and
-- references in the conditions, so nothing else is read here, and no wording. No library but Lua's base is needed.

local function told(condition)
  local text = condition.reason or condition.type
  if condition.message ~= nil and condition.message ~= "" then
    text = text .. ": " .. condition.message
  end
  return text
end

local status = obj.status
if type(status) ~= "table" or type(status.conditions) ~= "table" then
  return { status = "Progressing", message = "Waiting for rutta-operator to see the resource" }
end
if status.observedGeneration == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Waiting for rutta-operator to see the newest change" }
end

local found = {}
for _, condition in ipairs(status.conditions) do
  if condition.type ~= nil then
    found[condition.type] = condition
  end
end

local function is(name, value)
  return found[name] ~= nil and found[name].status == value
end

-- Only a person can mend these; everything else heals by itself, or becomes Stalled when it took too long.
if is("Stalled", "True") then
  return { status = "Degraded", message = told(found.Stalled) }
end
if is("Accepted", "False") then
  return { status = "Degraded", message = told(found.Accepted) }
end
if is("Reconciling", "True") then
  return { status = "Progressing", message = told(found.Reconciling) }
end
if is("Ready", "True") then
  local message = found.Ready.message or ""
  -- A database that is down must not turn a sync red, but whoever looks here wants to know.
  if is("TargetsHealthy", "False") then
    message = message .. " (" .. told(found.TargetsHealthy) .. ")"
  end
  return { status = "Healthy", message = message }
end
if found.Ready ~= nil then
  return { status = "Progressing", message = told(found.Ready) }
end
return { status = "Progressing", message = "Waiting for rutta-operator to tell whether it is ready" }
