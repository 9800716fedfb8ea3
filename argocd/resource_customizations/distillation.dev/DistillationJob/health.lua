local health = {status = "Progressing", message = "Waits for the operator."}

if obj.metadata.deletionTimestamp ~= nil then
  health.message = "Is being deleted."
  return health
end
if obj.status == nil or obj.status.conditions == nil then
  return health
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end
local function holds(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

if obj.metadata.generation ~= nil and obj.status.observedGeneration ~= obj.metadata.generation then
  health.message = "Waits for the operator to see the newest spec."
  return health
end
if conditions.Accepted ~= nil and conditions.Accepted.status == "False" then
  health.status = "Degraded"
  health.message = conditions.Accepted.message
elseif holds("Failed") then
  health.status = "Degraded"
  health.message = conditions.Failed.message
elseif holds("Complete") then
  health.status = "Healthy"
  health.message = conditions.Complete.message
elseif holds("Suspended") then
  health.status = "Suspended"
  health.message = conditions.Suspended.message
  if health.message == nil or health.message == "" then
    health.message = "Suspended by spec.suspend."
  end
elseif conditions.Reconciling ~= nil then
  health.message = conditions.Reconciling.message
end
return health
