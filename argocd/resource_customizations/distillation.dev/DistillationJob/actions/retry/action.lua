-- The stage that failed is tried again; the time makes the request one that wasn't honoured yet.
local os = require("os")
local failed = nil
if obj.status ~= nil and obj.status.stages ~= nil then
  for _, stage in ipairs(obj.status.stages) do
    if stage.state == "Failed" then
      failed = stage.name
      break
    end
  end
end
if failed ~= nil then
  if obj.metadata.annotations == nil then
    obj.metadata.annotations = {}
  end
  obj.metadata.annotations["distillation.dev/retry"] = failed .. "/" .. os.date("!%Y-%m-%dT%XZ")
end
return obj
