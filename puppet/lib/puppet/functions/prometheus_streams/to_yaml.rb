# frozen_string_literal: true

require 'yaml'

# @summary Writes plain data as YAML: keys in their order, no anchors, one line for each string.
#
# @api private
Puppet::Functions.create_function(:'prometheus_streams::to_yaml') do
  # @param data The data
  # @return The text
  dispatch :to_yaml do
    param 'Data', :data
    return_type 'String'
  end

  def to_yaml(data)
    # A negative width keeps long strings on one line.
    YAML.dump(copy(data), line_width: -1)
  end

  # YAML writes an anchor and an alias for what it meets twice.
  def copy(data)
    case data
    when Hash then data.to_h { |key, value| [key.to_s.dup, copy(value)] }
    when Array then data.map { |item| copy(item) }
    when String then data.dup
    else data
    end
  end
end
