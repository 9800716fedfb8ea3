local actions = {}
actions["suspend"] = {["disabled"] = true}
actions["resume"] = {["disabled"] = true}
actions["retry"] = {["disabled"] = true}

local failed, ended = false, false
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    if condition.status == "True" then
      failed = failed or condition.type == "Failed"
      ended = ended or condition.type == "Failed" or condition.type == "Complete"
    end
  end
end

local suspended = obj.spec.suspend ~= nil and obj.spec.suspend
if suspended then
  actions["resume"]["disabled"] = false
elseif not ended then
  actions["suspend"]["disabled"] = false
end
if failed then
  actions["retry"]["disabled"] = false
end
return actions
